-- await: note that somebody waits for the end of a run; the commit that ends it (commit.lua) then adds an entry to what is noted.
-- Whoever waits reads from entry 0-1 on, so an end that comes between this and that is not missed.
-- KEYS 1 head:<run> 2 end:<run> (runs_common.lua)
-- ARGV 1 ms until it is forgotten, longer than anybody waits at a time
-- Replies 1 when the run is under way, 0 when it has ended or is not there
local CLOSED = { completed = true, failed = true, cancelled = true }
local status = redis.call('HGET', KEYS[1], 'st')
if not status or CLOSED[status] then return 0 end
if redis.call('XLEN', KEYS[2]) > 1 then redis.call('DEL', KEYS[2]) end -- an earlier end: the run was opened again since
if redis.call('XLEN', KEYS[2]) == 0 then redis.call('XADD', KEYS[2], '0-1', 'e', '0') end
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return 1

#!lua flags=allow-oom
-- snapshot: keep a folded state for a while, unless its run has ended and is no longer what was folded: what was erased since
--   would be in it.
-- KEYS 1 head:<run> 2 snap:<run>
-- ARGV 1 commit that the state ends with 2 snapshot 3 seconds ; replies 1 kept, 0 not
local h = redis.call('HMGET', KEYS[1], 'lc', 'st')
local CLOSED = { completed = true, failed = true, cancelled = true }
if not h[1] or (CLOSED[h[2]] and h[1] ~= ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
return 1

#!lua flags=allow-oom
-- emit: show what a component shows, unless its run has left or was erased since: a step that nobody waits for any more may go
--   on for long, and would bring back what was to be forgotten.
-- KEYS 1 emit:<run> 2 head:<run> 3 run:<run>
-- ARGV 1 about how many entries are kept 2 ms until they are forgotten 3.. three of each entry: step, attempt, data
-- Replies 1 kept, 0 not
local LOOKED_AT = 20 -- what may follow an erasure are a few notes
local CLOSED = { completed = true, failed = true, cancelled = true }
local st = redis.call('HGET', KEYS[2], 'st')
if not st then return 0 end
if CLOSED[st] then
  for _, entry in ipairs(redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', LOOKED_AT)) do
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 't' and entry[2][i + 1] == 'RunRedacted' then return 0 end
    end
  end
end
for i = 3, #ARGV, 3 do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 's', ARGV[i], 'a', ARGV[i + 1], 'd', ARGV[i + 2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1

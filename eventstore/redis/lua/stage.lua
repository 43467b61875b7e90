#!lua
-- stage: put events aside that a commit will take over; sent twice, it does nothing the second time. Keyspace:
--   runs_common.lua.
-- KEYS 1 stage
-- ARGV 1 version before the first event 2 ms until it is forgotten
--   3.. seven of each event: type, data, ms, commit, actor, cause, metadata ('' for none)
-- Reply: the last version that is there
local STAGE, v = KEYS[1], tonumber(ARGV[1])
local function int(x) return string.format('%.0f', x) end
local last = redis.call('XREVRANGE', STAGE, '+', '-', 'COUNT', 1)
local there = last[1] and tonumber(string.match(last[1][1], '^(%d+)')) or 0
if v > there then return there end -- what was there is gone: the caller begins anew
for i = 3, #ARGV, 7 do
  v = v + 1
  if v > there then
    redis.call('XADD', STAGE, int(v) .. '-0', 't', ARGV[i], 'd', ARGV[i + 1], 'm', ARGV[i + 2], 'c', ARGV[i + 3],
      'a', ARGV[i + 4], 'y', ARGV[i + 5], 'x', ARGV[i + 6])
  end
end
redis.call('PEXPIRE', STAGE, ARGV[2])
return math.max(v, there)

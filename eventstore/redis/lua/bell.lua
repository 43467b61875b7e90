#!lua flags=allow-oom
-- bell: who is awake for a queue, and which partitions have work for it. All of it is hints: losing it costs time only.
-- KEYS 1 <prefix>:{q:<queue>}:bell     zset  partitions with work, score = since when (ms)
--      2 <prefix>:{q:<queue>}:awake    zset  drains that will look at the bell soon, score = until when (ms)
--      3 <prefix>:{q:<queue>}:rung     string, expires: a doorbell is on its way
--      4 <prefix>:{q:<queue>}:unanswered string, doorbells since a drain last woke: the pause between them doubles
--      5 <prefix>:{q:<queue>}:aside    zset  partitions with steps that were set aside for others, score = since when (ms)
--      6 <prefix>:{q:<queue>}:latest   string, expires: the partition that was rung for last (hear.lua)
-- ARGV 1 ring partition.. | pass drain partition.. | take drain ttl_ms at_most [ttl_ms when nothing is taken] | leave drain | busy drain | woke drain ttl_ms at_most
--   | aside partition..
-- ring, pass (ring and be busy) and busy reply 1 when the caller should send a doorbell; take, woke and leave reply the
-- partitions taken, the first two also those with something set aside, as <partition>@<since when>: whoever pops a hint may
-- not be able to run what it is about, so these stay for all to see. aside: those who are awake are not counted on.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function int(x) return string.format('%.0f', x) end
local op = ARGV[1]
local function ring_now()
  local count = tonumber(redis.call('GET', KEYS[4]) or '0')
  if count >= 12 then return 0 end -- nobody is there to hear it, and the messages would fill the broker; an hour later again
  if not redis.call('SET', KEYS[3], '1', 'NX', 'PX', int(math.min(60000, 1000 * 2 ^ math.min(count, 6)))) then return 0 end
  redis.call('SET', KEYS[4], int(count + 1), 'EX', 3600)
  return 1
end
local function should_ring(without)
  if redis.call('ZCARD', KEYS[1]) == 0 then return 0 end
  local awake = redis.call('ZCOUNT', KEYS[2], int(now), '+inf')
  local own = without and redis.call('ZSCORE', KEYS[2], without)
  if own and tonumber(own) >= now then awake = awake - 1 end
  if awake > 0 then return 0 end
  return ring_now()
end
local function pop(at_most)
  local got, out = redis.call('ZPOPMIN', KEYS[1], at_most), {}
  for i = 1, #got, 2 do out[#out + 1] = got[i] end
  return out
end
if op == 'ring' then
  -- First: who is woken by one of the partitions looks there as he wakes up.
  redis.call('SET', KEYS[6], ARGV[2], 'PX', 200)
  for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'NX', int(now), ARGV[i]) end
  return should_ring()
elseif op == 'pass' or op == 'busy' then
  for i = 3, #ARGV do redis.call('ZADD', KEYS[1], 'NX', int(now), ARGV[i]) end
  local ring = should_ring(ARGV[2])
  redis.call('ZREM', KEYS[2], ARGV[2]) -- last: a set that is emptied is gone, and is not to be named again
  return ring
elseif op == 'aside' then
  for i = 2, #ARGV do
    redis.call('ZADD', KEYS[5], 'NX', int(now), ARGV[i])
    redis.call('ZADD', KEYS[1], 'NX', int(now), ARGV[i])
  end
  redis.call('PEXPIRE', KEYS[5], 5000)
  local ring = ring_now()
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', int(now - 2000)) -- said again, they are new, and everybody looks again
  return ring
elseif op == 'leave' then
  local out = pop(64)
  if #out == 0 then redis.call('ZREM', KEYS[2], ARGV[2]) end
  return out
end
if op == 'woke' then redis.call('DEL', KEYS[3], KEYS[4]) end
-- Who finds nothing goes to sleep, and is woken by the bell itself.
local ttl = redis.call('ZCARD', KEYS[1]) == 0 and ARGV[5] or ARGV[3]
redis.call('ZADD', KEYS[2], int(now + tonumber(ttl)), ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. int(now))
local out = pop(tonumber(ARGV[4]))
local aside = redis.call('ZRANGE', KEYS[5], 0, 63, 'WITHSCORES')
for i = 1, #aside, 2 do out[#out + 1] = aside[i] .. '@' .. aside[i + 1] end
return out

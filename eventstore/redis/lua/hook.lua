#!lua
-- hook: what has come to an inbound hook, each delivery once under its id.
-- KEYS 1 hook:<name> hash: of each delivery g:<id> digest, c:<id> content, s:<id> status, o:<id> run or error, r:<id> how
--        often it was carried out again; and b, bytes of all contents
--      2 hooked:<name> zset: ids by the ms at which they came
-- ARGV 1 operation 2 id, then
--   take 3 digest 4 content 5 status 6 outcome 7 most deliveries 8 most bytes 9 ms for which they are kept
--        replies {1 if it is new, digest, content, status, outcome} of what there is then; the oldest make room
--   note 3 status 4 outcome 5 1 if it was carried out again: replies 1, or 0 where it is no longer there
-- What has begun a run is not said to have failed by who tried the same at the same time.
local H, ORDER, op, id = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local had = redis.call('HMGET', H, 'g:' .. id, 'c:' .. id, 's:' .. id, 'o:' .. id)
if op == 'note' then
  if not had[1] then return 0 end
  local stands = had[3] == 'started' or had[3] == 'signalled'
  if stands and ARGV[3] == 'failed' then return 1 end
  redis.call('HSET', H, 's:' .. id, ARGV[3], 'o:' .. id, ARGV[4])
  if ARGV[5] == '1' then redis.call('HINCRBY', H, 'r:' .. id, 1) end
  return 1
end
if had[1] then return { 0, had[1], had[2], had[3], had[4] } end
local T = redis.call('TIME')
local NOW = T[1] * 1000 + math.floor(T[2] / 1000)
local most, most_bytes, kept = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local bytes = tonumber(redis.call('HGET', H, 'b') or '0') + #ARGV[4]
local count = redis.call('ZCARD', ORDER) + 1
redis.call('HSET', H, 'g:' .. id, ARGV[3], 'c:' .. id, ARGV[4], 's:' .. id, ARGV[5], 'o:' .. id, ARGV[6])
while true do
  local oldest = redis.call('ZRANGE', ORDER, 0, 0, 'WITHSCORES')
  local is_over = count > most or bytes > most_bytes or (oldest[2] and tonumber(oldest[2]) < NOW - kept)
  if not oldest[1] or not is_over then break end
  local gone = oldest[1]
  bytes = bytes - redis.call('HSTRLEN', H, 'c:' .. gone)
  count = count - 1
  redis.call('ZREM', ORDER, gone)
  redis.call('HDEL', H, 'g:' .. gone, 'c:' .. gone, 's:' .. gone, 'o:' .. gone, 'r:' .. gone)
end
redis.call('ZADD', ORDER, NOW, id)
redis.call('HSET', H, 'b', string.format('%.0f', bytes))
redis.call('PEXPIRE', H, kept)
redis.call('PEXPIRE', ORDER, kept)
return { 1, ARGV[3], ARGV[4], ARGV[5], ARGV[6] }

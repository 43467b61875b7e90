#!lua
-- request: a request of a caller who has named it by an idempotency key: who carries it out now, and what was answered.
-- KEYS 1 request:<hash> (hash: d digest of the request, v version of its run before it, h who carries it out, u until when
--   nobody else does, by the server's clock, a what was answered, o 1 once somebody has taken it over)
-- ARGV 1 operation 2 who asks, then
--   begin  3 digest 4 version 5 ms for which nobody else may carry it out 6 ms for which all is kept
--          replies {0, version of the first time} to who carries it out, {1, what was answered}, {2, ms to wait, digest},
--          or {3, digest of the other request that the key stands for}
--   answer 3 what is answered
--   free   3 1 if it was refused and nothing was done: then the key is free; else only who carries it out may change.
--          Of one that was taken over nobody knows that: who had it before may have done it, or still be about to
-- Who is not the one who carries it out changes nothing: somebody else has taken it over. These reply 1 or 0.
local KEY, op, who = KEYS[1], ARGV[1], ARGV[2]
local T = redis.call('TIME')
local NOW = T[1] * 1000 + math.floor(T[2] / 1000)
local had = redis.call('HMGET', KEY, 'd', 'v', 'h', 'u', 'a')
if op == 'begin' then
  local until_ms = string.format('%.0f', NOW + tonumber(ARGV[5]))
  if not had[1] then
    redis.call('HSET', KEY, 'd', ARGV[3], 'v', ARGV[4], 'h', who, 'u', until_ms)
    redis.call('PEXPIRE', KEY, ARGV[6])
    return { 0, tonumber(ARGV[4]) }
  end
  if had[1] ~= ARGV[3] then return { 3, had[1] } end
  if had[5] then return { 1, had[5] } end
  if had[3] ~= who and tonumber(had[4]) > NOW then return { 2, tonumber(had[4]) - NOW, had[1] } end
  redis.call('HSET', KEY, 'h', who, 'u', until_ms)
  if had[3] ~= who then redis.call('HSET', KEY, 'o', '1') end
  return { 0, tonumber(had[2]) }
end
if had[3] ~= who then return 0 end
if op == 'answer' then
  redis.call('HSET', KEY, 'a', ARGV[3])
elseif ARGV[3] == '1' and redis.call('HEXISTS', KEY, 'o') == 0 then
  redis.call('DEL', KEY)
else
  redis.call('HSET', KEY, 'u', '0')
end
return 1

#!lua flags=allow-oom
-- gate: locks, lines and rates by key; each call is one atomic step in the key's own partition.
-- KEYS 1 meta of the partition 2 gate:<kind>:<key> (hash) 3 line:<kind>:<key> (zset, waiting members by arrival)
-- hash: f last fence, c holders, h:<member> fence|since; tat and m:<member> of a rate; d latest of a debounce
-- ARGV 1 operation 2 member, then
--   take   3 limit 4 priority    replies {1, fence} or {0, the oldest holders.., the first in line}
--   leave                        replies the members that may come in now
--   rate   3 limit 4 period ms   replies {1} or {0, ms to wait}: a token bucket (GCRA), its slot reserved for the member
--   newest                       replies {previous member or ''}: this one takes its place
--   still                        replies {1} if no newer one took its place, which ends the matter, or {0}
local op, member = ARGV[1], ARGV[2]
local H, LINE = KEYS[2], KEYS[3]
local T = redis.call('TIME')
local NOW = T[1] * 1000 + math.floor(T[2] / 1000)
local US = T[1] * 1000000 + T[2]
local function int(x) return string.format('%.0f', x) end
if op == 'take' then
  local held = redis.call('HGET', H, 'h:' .. member)
  if held then return { 1, string.match(held, '^(%d+)|') } end
  redis.call('ZADD', LINE, 'NX', int(NOW - 60000 * tonumber(ARGV[4])), member)
  local count = tonumber(redis.call('HGET', H, 'c') or '0')
  local rank = redis.call('ZRANK', LINE, member)
  if count + rank < tonumber(ARGV[3]) then
    local fence = math.max(US, tonumber(redis.call('HGET', H, 'f') or '0') + 1)
    redis.call('ZREM', LINE, member)
    redis.call('PERSIST', H)
    redis.call('HSET', H, 'f', int(fence), 'c', int(count + 1), 'h:' .. member, int(fence) .. '|' .. int(NOW))
    return { 1, int(fence) }
  end
  local out = { 0 }
  local all = redis.call('HGETALL', H)
  local holders = {}
  for i = 1, #all, 2 do
    if string.sub(all[i], 1, 2) == 'h:' then holders[#holders + 1] = { tonumber(string.match(all[i + 1], '^(%d+)|')), string.sub(all[i], 3) } end
  end
  table.sort(holders, function(a, b) return a[1] < b[1] end)
  for _, x in ipairs(holders) do
    if #out > 8 then break end
    out[#out + 1] = x[2]
  end
  if rank > 0 then out[#out + 1] = redis.call('ZRANGE', LINE, 0, 0)[1] end
  return out
elseif op == 'leave' then
  redis.call('ZREM', LINE, member)
  if redis.call('HDEL', H, 'h:' .. member) == 1 then redis.call('HINCRBY', H, 'c', -1) end
  local free = redis.call('ZRANGE', LINE, 0, 4)
  if #free == 0 and (redis.call('HGET', H, 'c') or '0') == '0' then
    redis.call('PEXPIRE', H, 86400000) -- the last fence is kept for a day: fences only rise
  else
    redis.call('PERSIST', H)
  end
  return free
elseif op == 'rate' then
  local limit, period = tonumber(ARGV[3]), tonumber(ARGV[4]) * 1000
  local slot = tonumber(redis.call('HGET', H, 'm:' .. member) or '-1')
  if slot < 0 then
    local gap = period / limit
    local tat = math.max(tonumber(redis.call('HGET', H, 'tat') or '0'), US)
    slot = math.max(US, tat - period + gap)
    redis.call('HSET', H, 'tat', int(tat + gap), 'm:' .. member, int(slot))
    redis.call('PEXPIRE', H, math.ceil((tat + gap - US) / 1000) + 3600000)
  end
  if slot <= US then
    redis.call('HDEL', H, 'm:' .. member)
    return { 1 }
  end
  return { 0, math.ceil((slot - US) / 1000) }
elseif op == 'newest' then
  local before = redis.call('HGET', H, 'd') or ''
  redis.call('HSET', H, 'd', member)
  redis.call('PEXPIRE', H, 86400000 * 30)
  return { before }
else -- still
  local latest = redis.call('HGET', H, 'd')
  if latest == member then redis.call('HDEL', H, 'd') end
  return { (not latest or latest == member) and 1 or 0 }
end

#!lua flags=allow-oom
-- gate: locks, lines and rates by key; each call is one atomic step in the key's own partition.
-- KEYS 1 meta of the partition 2 gate:<kind>:<key> (hash) 3 line:<kind>:<key> (zset, waiting members by arrival)
-- hash: f last fence, c holders, h:<member> fence|since|version of its run at the admission; of a rate tat (when its bucket is full again) and w:<member> (when
--   a waiting member was told to come back; m:<member> is a slot that an older version reserved); of a debounce d, its
--   latest member, and at, when that one was started
-- ARGV 1 operation 2 member, then
--   take   3 limit 4 priority 5 version of the member's run
--                                replies {1, fence} or {0, the oldest holders.., the first in line}
--   leave  3 version of the member's run as it was when it was found to have no use for the lock, '' for whatever it is
--                                replies {0, the members that may come in now..}, or {the version of a later admission}
--   rate   3 limit 4 period ms   a token bucket (GCRA) with a line: replies {1, members that may come earlier than they
--                                were told..} or {0, ms to wait, the first in line if there has long been one for it, or ''}
--   drop   3 limit 4 period ms   out of the line of a rate; replies the members that may come earlier than they were told
--   newest 3 started ms 4 period ms
--                                replies {1, the member whose place it takes or ''}, or {0, ''} if a newer one has it
local op, member = ARGV[1], ARGV[2]
local H, LINE = KEYS[2], KEYS[3]
local T = redis.call('TIME')
local NOW = T[1] * 1000 + math.floor(T[2] / 1000)
local US = T[1] * 1000000 + T[2]
local function int(x) return string.format('%.0f', x) end
-- Who waits but this member. A set is read before something leaves it: one that is emptied is gone, and naming a key that
-- is gone is an error while the slot is moved.
local function waiting(most)
  local out = {}
  for _, other in ipairs(redis.call('ZRANGE', LINE, 0, most)) do
    if other ~= member and #out < most then out[#out + 1] = other end
  end
  return out
end
if op == 'take' then
  local held = redis.call('HGET', H, 'h:' .. member)
  if held then
    local fence, since, version = string.match(held, '^(%d+)|(%d+)|?(%d*)$')
    -- Its run may have been opened again, and this is another admission: who still gives back the one before knows an
    -- older version, and must leave this one alone.
    if tonumber(ARGV[5]) > (tonumber(version) or 0) then
      redis.call('HSET', H, 'h:' .. member, fence .. '|' .. since .. '|' .. ARGV[5])
    end
    return { 1, fence }
  end
  redis.call('ZADD', LINE, 'NX', int(NOW - 60000 * tonumber(ARGV[4])), member)
  local count = tonumber(redis.call('HGET', H, 'c') or '0')
  local rank = redis.call('ZRANK', LINE, member)
  if count + rank < tonumber(ARGV[3]) then
    local fence = math.max(US, tonumber(redis.call('HGET', H, 'f') or '0') + 1)
    -- Fences only rise, over all holders of a key there ever were: what one of them still sends to a system outside,
    -- which keeps the highest fence that it has seen, is refused there once another one has come in.
    redis.call('ZREM', LINE, member)
    redis.call('PERSIST', H)
    redis.call('HSET', H, 'f', int(fence), 'c', int(count + 1), 'h:' .. member, int(fence) .. '|' .. int(NOW) .. '|' .. ARGV[5])
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
  local held = redis.call('HGET', H, 'h:' .. member)
  local version = held and tonumber(string.match(held, '^%d+|%d+|(%d+)$')) or 0
  -- Who gives a lock back late knows the step as it was: what it holds since then is not given back with it.
  if ARGV[3] ~= '' and version > tonumber(ARGV[3]) then return { version } end
  local free = waiting(5)
  -- Counted by what was really there: given back twice, a lock would let in one more than its limit.
  if redis.call('HDEL', H, 'h:' .. member) == 1 then redis.call('HINCRBY', H, 'c', -1) end
  if #free == 0 and (redis.call('HGET', H, 'c') or '0') == '0' then
    redis.call('PEXPIRE', H, 86400000) -- the last fence is kept for a day: fences only rise
  else
    redis.call('PERSIST', H)
  end
  redis.call('ZREM', LINE, member)
  table.insert(free, 1, 0)
  return free
elseif op == 'rate' or op == 'drop' then
  local limit, period = tonumber(ARGV[3]), tonumber(ARGV[4]) * 1000
  local gap = period / limit
  local tat = math.max(tonumber(redis.call('HGET', H, 'tat') or '0'), US)
  local function slot_of(rank) return math.max(US, tat - period + (rank + 1) * gap) end
  -- Who waits was told a time by the line as it was then; when others leave it, that time is too late.
  local function early()
    local out = {}
    for i, other in ipairs(waiting(5)) do
      local told = tonumber(redis.call('HGET', H, 'w:' .. other) or '0')
      if told > slot_of(i - 1) + 20000 then out[#out + 1] = other end
    end
    return out
  end
  if op == 'drop' then
    local out = early()
    redis.call('ZREM', LINE, member)
    redis.call('HDEL', H, 'w:' .. member, 'm:' .. member)
    return out
  end
  local reserved = tonumber(redis.call('HGET', H, 'm:' .. member) or '-1')
  if reserved > US then return { 0, math.ceil((reserved - US) / 1000), '' } end
  if reserved >= 0 then
    redis.call('HDEL', H, 'm:' .. member)
    return { 1 }
  end
  redis.call('ZADD', LINE, 'NX', int(US), member)
  local rank = redis.call('ZRANK', LINE, member)
  local slot = slot_of(rank)
  local keep = math.ceil((tat + redis.call('ZCARD', LINE) * gap - US) / 1000) + 3600000
  if slot <= US then
    tat = tat + gap
    local out = early()
    redis.call('HSET', H, 'tat', int(tat))
    redis.call('PEXPIRE', H, keep)
    redis.call('HDEL', H, 'w:' .. member)
    redis.call('ZREM', LINE, member)
    table.insert(out, 1, 1)
    return out
  end
  redis.call('HSET', H, 'w:' .. member, int(slot))
  redis.call('PEXPIRE', H, keep)
  redis.call('PEXPIRE', LINE, keep)
  local first = rank > 0 and redis.call('ZRANGE', LINE, 0, 0, 'WITHSCORES') or {}
  local there = tonumber(redis.call('HGET', H, 'tat') or '0') - period + gap -- since when there is a token for it
  local long_ago = US - 2000000
  if not first[1] or tonumber(first[2]) > long_ago or there > long_ago then first[1] = '' end
  return { 0, math.ceil((slot - US) / 1000), first[1] }
else -- newest
  local latest, at = redis.call('HGET', H, 'd'), tonumber(redis.call('HGET', H, 'at') or '0')
  if latest == member then return { 1, '' } end
  if latest and at > tonumber(ARGV[3]) then return { 0, '' } end
  redis.call('HSET', H, 'd', member, 'at', ARGV[3])
  redis.call('PEXPIRE', H, int(tonumber(ARGV[4]) + 86400000))
  return { 1, latest or '' }
end

#!lua
-- project: what a projection made of some events, with its checkpoint, in one atomic step.
-- KEYS 1 meta 2 checkpoints ; everything of a view lies under V = "<prefix>:{<p>}:view:<view>:", in the same slot:
--   V docs        hash   key -> [ordinal, order, document]; ordinal -1: the view has no index
--   V tally       hash   name -> a count, or JSON
--   V ids:<o/128> hash   ordinal -> key
--   V next        hash   o: the next ordinal, m: the highest order so far
--   V trouble     string why the view stands still, while it does
--   V f:<facet>:<c>      the ordinals c*65536.. with a facet: a set of up to 512 small integers, then a string of bits
-- ARGV 1 view 2 checkpoint it was made from 3 checkpoint after it 4 next ordinal 5 highest order, then sections, each
--   with its length first: documents (key, value), keys to remove, counts (name, delta), values (name, JSON), first
--   values (name, JSON), ids (ordinal, key), ids to remove (ordinal), members (facet, ordinal, 1|0)
-- Replies {1, checkpoint} done; {0, checkpoint} another has moved it; {-2, n} the log ends before it
local B = string.sub(KEYS[1], 1, -5)
local V = B .. 'view:' .. ARGV[1] .. ':'
local CONSUMER = 'view:' .. ARGV[1]
local SMALL, CHUNK = 512, 65536
local function int(x) return string.format('%.0f', x) end

-- 1. Guards.
local at = redis.call('HGET', KEYS[2], CONSUMER) or '0'
if at ~= ARGV[2] then return { 0, tonumber(at) } end
local n = tonumber(redis.call('HGET', KEYS[1], 'n') or '0')
if tonumber(ARGV[3]) > n then return { -2, n } end

-- 2. Writes.
local place = 6
local function section(width, each)
  local count = tonumber(ARGV[place])
  local first = place + 1
  place = first + count * width
  for i = first, place - 1, width do each(i) end
end
local function add(key, ordinal)
  if redis.call('TYPE', key).ok == 'string' then
    redis.call('SETBIT', key, ordinal, 1)
  else
    redis.call('SADD', key, ordinal)
    if redis.call('SCARD', key) > SMALL then
      local members = redis.call('SMEMBERS', key)
      redis.call('DEL', key)
      for _, m in ipairs(members) do redis.call('SETBIT', key, m, 1) end
    end
  end
end
local function remove(key, ordinal)
  if redis.call('TYPE', key).ok == 'string' then
    redis.call('SETBIT', key, ordinal, 0)
  else
    redis.call('SREM', key, ordinal)
  end
end
local function ids(ordinal) return V .. 'ids:' .. int(math.floor(tonumber(ordinal) / 128)) end
section(2, function(i) redis.call('HSET', V .. 'docs', ARGV[i], ARGV[i + 1]) end)
section(1, function(i) redis.call('HDEL', V .. 'docs', ARGV[i]) end)
section(2, function(i)
  if redis.call('HINCRBY', V .. 'tally', ARGV[i], ARGV[i + 1]) == 0 then redis.call('HDEL', V .. 'tally', ARGV[i]) end
end)
section(2, function(i) redis.call('HSET', V .. 'tally', ARGV[i], ARGV[i + 1]) end)
section(2, function(i) redis.call('HSETNX', V .. 'tally', ARGV[i], ARGV[i + 1]) end)
section(2, function(i) redis.call('HSET', ids(ARGV[i]), ARGV[i], ARGV[i + 1]) end)
section(1, function(i) redis.call('HDEL', ids(ARGV[i]), ARGV[i]) end)
section(3, function(i)
  local ordinal = tonumber(ARGV[i + 1])
  local key = V .. 'f:' .. ARGV[i] .. ':' .. int(math.floor(ordinal / CHUNK))
  if ARGV[i + 2] == '1' then add(key, int(ordinal % CHUNK)) else remove(key, int(ordinal % CHUNK)) end
end)
if ARGV[4] ~= '0' then redis.call('HSET', V .. 'next', 'o', ARGV[4], 'm', ARGV[5]) end
redis.call('HSET', KEYS[2], CONSUMER, ARGV[3])
redis.call('DEL', V .. 'trouble')
return { 1, tonumber(ARGV[3]) }

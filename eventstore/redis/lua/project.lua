#!lua flags=allow-oom
-- project: what a projection made of some events, with its checkpoint, in one atomic step.
-- KEYS 1 meta 2 checkpoints ; everything of a view lies under V = "<prefix>:{<p>}:view:<view>:", in the same slot:
--   V docs        hash   key -> [ordinal, order, document]; ordinal -1: the view has no index
--   V tally       hash   name -> a count, or JSON
--   V ids:<o/128> hash   ordinal -> key
--   V next        hash   o: the next ordinal, m: the highest order so far
--   V trouble     string why the view stands still, while it does
--   V f:<facet>:<c>      string the ordinals c*65536.. with a facet: 's' and up to 256 numbers of two bytes, or 'b' and bits
-- ARGV 1 view 2 checkpoint it was made from 3 checkpoint after it 4 ms of the commit there, '' when it does not matter
--   5 next ordinal 6 highest order, then sections, each
--   with its length first: documents (key, value), keys to remove, counts (name, delta), values (name, JSON), first
--   values (name, JSON), ids (ordinal, key), ids to remove (ordinal), members (facet, ordinal, 1|0)
-- Replies {1, checkpoint} done; {0, checkpoint} another has moved it; {-2, n} the log ends before it, or has lost what was
--   read and has other events there now; {-3, name} a count that cannot be added to, or would not fit a whole number
local B = string.sub(KEYS[1], 1, -5)
local V = B .. 'view:' .. ARGV[1] .. ':'
local CONSUMER = 'view:' .. ARGV[1]
local SMALL, CHUNK, MOST = 256, 65536, 2 ^ 53
local function int(x) return string.format('%.0f', x) end

-- 1. Guards.
local at = redis.call('HGET', KEYS[2], CONSUMER) or '0'
if at ~= ARGV[2] then return { 0, tonumber(at) } end
local n = tonumber(redis.call('HGET', KEYS[1], 'n') or '0')
if tonumber(ARGV[3]) > n then return { -2, n } end
if ARGV[4] ~= '' then
  local e = redis.call('XRANGE', B .. 'log', ARGV[3] .. '-0', '+', 'COUNT', 1)[1]
  if not e or string.match(e[1], '-(%d+)$') ~= ARGV[4] then return { -2, n } end
end
local counts = 8 + 2 * tonumber(ARGV[7])
counts = counts + 1 + tonumber(ARGV[counts])
for i = counts + 1, counts + 2 * tonumber(ARGV[counts]), 2 do
  local known = redis.call('HGET', V .. 'tally', ARGV[i]) or '0'
  if not string.match(known, '^-?%d+$') or math.abs(tonumber(known) + tonumber(ARGV[i + 1])) > MOST then
    return { -3, ARGV[i] }
  end
end

-- 2. Writes. Before the first, each key is looked at that will be touched: an error in the middle would undo nothing.
local place = 7
local function section(width, each)
  local count = tonumber(ARGV[place])
  local first = place + 1
  place = first + count * width
  for i = first, place - 1, width do each(i) end
end
local function add(key, ordinal)
  local kind = redis.call('GETRANGE', key, 0, 0)
  if kind == 's' and redis.call('STRLEN', key) > 2 * SMALL then
    local sparse = redis.call('GET', key)
    redis.call('SET', key, 'b')
    for i = 2, #sparse, 2 do redis.call('SETBIT', key, 8 + struct.unpack('>H', sparse, i), 1) end
    kind = 'b'
  end
  if kind == 'b' then
    redis.call('SETBIT', key, 8 + ordinal, 1)
  elseif kind == 's' then
    redis.call('APPEND', key, struct.pack('>H', ordinal))
  else
    redis.call('SET', key, 's' .. struct.pack('>H', ordinal))
  end
end
local emptied = {}
local function remove(key, ordinal)
  local kind = redis.call('GETRANGE', key, 0, 0)
  if kind == 'b' then
    redis.call('SETBIT', key, 8 + ordinal, 0)
  elseif kind == 's' then
    local sparse, gone, left = redis.call('GET', key), struct.pack('>H', ordinal), { 's' }
    for i = 2, #sparse, 2 do
      local one = string.sub(sparse, i, i + 1)
      if one ~= gone then left[#left + 1] = one end
    end
    redis.call('SET', key, table.concat(left))
    emptied[key] = #left == 1 or nil
  end
end
local function ids(ordinal) return V .. 'ids:' .. int(math.floor(tonumber(ordinal) / 128)) end
local function facet(i) return V .. 'f:' .. ARGV[i] .. ':' .. int(math.floor(tonumber(ARGV[i + 1]) / CHUNK)) end
local touched, known = { V .. 'docs', V .. 'tally', V .. 'next', V .. 'trouble' }, {}
local function note(key)
  if not known[key] then
    known[key] = true
    touched[#touched + 1] = key
  end
end
for _, width in ipairs({ 2, 1, 2, 2, 2 }) do section(width, function() end) end
section(2, function(i) note(ids(ARGV[i])) end)
section(1, function(i) note(ids(ARGV[i])) end)
section(3, function(i) note(facet(i)) end)
for i = 1, #touched, 500 do redis.call('EXISTS', unpack(touched, i, math.min(i + 499, #touched))) end
place = 7
section(2, function(i) redis.call('HSET', V .. 'docs', ARGV[i], ARGV[i + 1]) end)
local gone = {}
local function leaves(key, field)
  gone[key] = gone[key] or {}
  table.insert(gone[key], field)
end
section(1, function(i) leaves(V .. 'docs', ARGV[i]) end)
section(2, function(i)
  if redis.call('HINCRBY', V .. 'tally', ARGV[i], ARGV[i + 1]) == 0 then leaves(V .. 'tally', ARGV[i]) end
end)
section(2, function(i) redis.call('HSET', V .. 'tally', ARGV[i], ARGV[i + 1]) end)
section(2, function(i) redis.call('HSETNX', V .. 'tally', ARGV[i], ARGV[i + 1]) end)
section(2, function(i) redis.call('HSET', ids(ARGV[i]), ARGV[i], ARGV[i + 1]) end)
section(1, function(i) leaves(ids(ARGV[i]), ARGV[i]) end)
section(3, function(i)
  local ordinal = tonumber(ARGV[i + 1]) % CHUNK
  if ARGV[i + 2] == '1' then add(facet(i), ordinal) else remove(facet(i), ordinal) end
end)
-- What is emptied is gone, and is not named again.
for key, fields in pairs(gone) do
  for i = 1, #fields, 500 do redis.call('HDEL', key, unpack(fields, i, math.min(i + 499, #fields))) end
end
for key in pairs(emptied) do
  if redis.call('STRLEN', key) == 1 then redis.call('DEL', key) end
end
if ARGV[5] ~= '0' then redis.call('HSET', V .. 'next', 'o', ARGV[5], 'm', ARGV[6]) end
redis.call('HSET', KEYS[2], CONSUMER, ARGV[3])
redis.call('DEL', V .. 'trouble')
return { 1, tonumber(ARGV[3]) }

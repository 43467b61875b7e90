#!lua flags=no-writes
-- view_seek: where in the order of a view a time stands. Layout: project.lua.
-- KEYS 1 meta ; ARGV 1 view 2.. orders
-- Replies the first ordinal whose order is at least that, for each, the next ordinal where there is none; then that
local V = string.sub(KEYS[1], 1, -5) .. 'view:' .. ARGV[1] .. ':'
local count = tonumber(redis.call('HGET', V .. 'next', 'o') or '0')
local function order_at(ordinal)
  local bucket = V .. 'ids:' .. string.format('%.0f', math.floor(ordinal / 128))
  local key = redis.call('HGET', bucket, string.format('%.0f', ordinal))
  local value = key and redis.call('HGET', V .. 'docs', key)
  return value and tonumber(string.match(value, '^%[%d+,(%d+),'))
end
local function known_from(ordinal, bound) -- removed documents leave holes
  while ordinal < bound do
    local order = order_at(ordinal)
    if order then return ordinal, order end
    ordinal = ordinal + 1
  end
  return bound
end
local out = {}
for i = 2, #ARGV do
  local wanted, low, high = tonumber(ARGV[i]), 0, count
  while low < high do
    local middle = math.floor((low + high) / 2)
    local found, order = known_from(middle, high)
    if order and order < wanted then low = found + 1 else high = middle end
  end
  out[#out + 1] = low
end
out[#out + 1] = count
return out

#!lua flags=no-writes
-- view_rows: the documents at some ordinals. Layout: project.lua.
-- KEYS 1 meta ; ARGV 1 view 2.. ordinals
-- Replies key and value of each, two empty strings where there is none any more
local V = string.sub(KEYS[1], 1, -5) .. 'view:' .. ARGV[1] .. ':'
local out = {}
for i = 2, #ARGV do
  local bucket = string.format('%.0f', math.floor(tonumber(ARGV[i]) / 128))
  local key = redis.call('HGET', V .. 'ids:' .. bucket, ARGV[i])
  local value = key and redis.call('HGET', V .. 'docs', key)
  out[#out + 1] = value and key or ''
  out[#out + 1] = value or ''
end
return out

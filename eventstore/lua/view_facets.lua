#!lua
-- view_facets: which ordinals of a chunk have some facets. Layout: project.lua.
-- KEYS 1 meta ; ARGV 1 view 2 chunk 3.. facets
-- Replies one item a facet: a string of bits, or an array of small integers
local V = string.sub(KEYS[1], 1, -5) .. 'view:' .. ARGV[1] .. ':'
local out = {}
for i = 3, #ARGV do
  local key = V .. 'f:' .. ARGV[i] .. ':' .. ARGV[2]
  if redis.call('TYPE', key).ok == 'string' then
    out[#out + 1] = redis.call('GET', key)
  else
    local members = redis.call('SMEMBERS', key)
    for j = 1, #members do members[j] = tonumber(members[j]) end
    out[#out + 1] = members
  end
end
return out

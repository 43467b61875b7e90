#!lua flags=allow-oom
-- allowance: what a caller may still ask for; a bucket that is full with `limit` and fills evenly in a period (GCRA).
-- KEYS 1 allowance:<caller> (string: when the bucket is full again, in us by the server's clock; gone once it is)
-- ARGV 1 limit 2 period ms
-- It is let in where the memory is full: what callers say of runs that have begun goes on then.
-- replies {1, left, ms until the bucket is full} or {0, ms until there is one, ms until the bucket is full}
local limit, period = tonumber(ARGV[1]), tonumber(ARGV[2]) * 1000
local gap = period / limit
local T = redis.call('TIME')
local US = T[1] * 1000000 + T[2]
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), US)
-- A limit that was lowered, or a clock that was set back, leaves a bucket no emptier than empty.
full = math.min(full, US + period)
local function ms(us) return math.ceil(us / 1000) end
local after = full + gap
if after > US + period then return { 0, ms(after - US - period), ms(full - US) } end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.max(1, ms(after - US)))
return { 1, math.floor((US + period - after) / gap), ms(after - US) }

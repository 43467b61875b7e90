#!lua flags=allow-oom
-- order: tell workers something, and note who said it and why, in one step: what holds is never without its reason.
-- KEYS 1 orders (hash: what holds, by "<what> <for whom>") 2 orders:log (stream: all that was said, the newest 10,000)
-- ARGV 1 "<what> <for whom>" 2 JSON object with at least one member 3 1 when it holds from now on, 0 when nothing does
-- Reply: the JSON with at_ms, as it was noted
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local noted = string.format('{"at_ms":%.0f,', now) .. string.sub(ARGV[2], 2)
-- While a slot is moved, naming a key that is not there is an error: before anything is written, both are named.
redis.call('EXISTS', KEYS[1], KEYS[2])
redis.call('XADD', KEYS[2], 'MAXLEN', '~', '10000', '*', 'o', ARGV[1], 'd', noted)
if ARGV[3] == '1' then redis.call('HSET', KEYS[1], ARGV[1], noted) else redis.call('HDEL', KEYS[1], ARGV[1]) end
return noted

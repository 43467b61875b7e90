#!lua flags=allow-oom
-- fence: the holder of a lease comes to a slot: from now on, nobody with an older token writes there under that lease.
-- Sent before the holder reads anything there, so that what it reads is not written over by who held the lease before.
-- KEYS 1 fence of the lease in that slot (string: the highest token that came here; expires a day after its lease)
-- ARGV 1 name 2 token 3 until when it is held, ms
-- Replies 1, or the error LEASELOST, see fenced.lua
local T = redis.call('TIME')
local NOW = T[1] * 1000 + math.floor(T[2] / 1000)
local DAY = 86400000
local function int(x) return string.format('%.0f', x) end
local function lost(why) return redis.error_reply('LEASELOST ' .. ARGV[2] .. ' ' .. why .. ' ' .. ARGV[1]) end
local newest = tonumber(redis.call('GET', KEYS[1]) or '0')
if newest > tonumber(ARGV[2]) then return lost('newer ' .. int(newest)) end
if NOW >= tonumber(ARGV[3]) then return lost('over ' .. ARGV[3]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', int(ARGV[3] - NOW + DAY))
return 1

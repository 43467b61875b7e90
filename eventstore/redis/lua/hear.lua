#!lua flags=allow-oom
-- hear: claim in the partition that was rung for last, for a drain that wakes up: sent behind the command that it sleeps in,
-- so that it wakes up once, with its work. That need not be the partition by which it was woken: then it looks there too.
-- Partitions of all slots are one server's here; in a cluster, nobody sends this.
-- KEYS 1 <prefix>:{q:<queue>}:latest 2 <prefix>:{q:<queue>}:awake (bell.lua)
-- ARGV 1 <prefix>:{ 2 queue 3 id of the claim 4 hash of the worker's components 5.. as in claim.lua
-- Replies {partition, reply of claim.lua}, or nothing where nobody has rung lately, or the drain is not one of those any
-- more that work is for: its process ends while it sleeps.
local latest = redis.call('GET', KEYS[1])
if not latest or not redis.call('ZSCORE', KEYS[2], ARGV[6]) then return {} end
local partition = ARGV[1] .. latest .. '}:'
-- What follows is claim.lua as it is, made a function, which names its keys and arguments like that.
local KEYS = { partition .. 'meta', partition .. 'log', partition .. 'due', partition .. 'ready:' .. ARGV[2],
  partition .. 'claim:' .. ARGV[3], partition .. 'has:' .. ARGV[4] }
local ARGV = { unpack(ARGV, 5) }
redis.call('EXISTS', unpack(KEYS)) -- all that is touched below is looked at before the first write, as everywhere

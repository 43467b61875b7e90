#!lua flags=allow-oom
-- schedule: one schedule, changed only by who has seen its last revision.
-- The first revision is the time of creation in microseconds, those after it count on from there.
-- KEYS 1 meta of the partition 2 schedule:<name> (hash: rev, spec, state) 3 due 4 view:schedules (set)
-- ARGV 1 operation 2 name 3 expected revision ('' any, '0' none yet) 4 spec 5 state 6 time of the next look in ms, -1 never
-- put, drop: reply {1, revision} or {0, revision that is there}
-- The revision is the fence: of two who have seen the same schedule, one changes it, and the other looks again.
local rev = redis.call('HGET', KEYS[2], 'rev') or '0'
if ARGV[3] ~= '' and ARGV[3] ~= rev then return { 0, rev } end
if ARGV[1] == 'drop' then
  redis.call('DEL', KEYS[2])
  redis.call('ZREM', KEYS[3], 's|' .. ARGV[2])
  redis.call('SREM', KEYS[4], ARGV[2])
  return { 1, '0' }
end
local next_rev = tonumber(rev) + 1
if rev == '0' then -- of all schedules that ever had this name: who has seen a deleted one must not write over the next
  local now = redis.call('TIME')
  next_rev = now[1] * 1000000 + now[2]
end
next_rev = string.format('%.0f', next_rev)
redis.call('HSET', KEYS[2], 'rev', next_rev, 'spec', ARGV[4], 'state', ARGV[5])
redis.call('SADD', KEYS[4], ARGV[2])
-- First the schedule, then its member in due: a look that meets a member without its schedule drops it (due.lua), and
-- then nothing would ever begin by that schedule.
if tonumber(ARGV[6]) < 0 then
  redis.call('ZREM', KEYS[3], 's|' .. ARGV[2])
else
  redis.call('ZADD', KEYS[3], ARGV[6], 's|' .. ARGV[2])
end
return { 1, next_rev }

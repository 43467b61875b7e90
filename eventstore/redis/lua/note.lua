#!lua
-- note: which run an idempotency key stands for: whoever comes first says it, and says it again.
-- KEYS 1 asked:<hash of the key>
-- ARGV 1 what it is to say 2 ms for which that is kept 3 what it may take the place of, "" for nothing
-- Reply: nil when it says that now; else {what it says, ms for which that is still kept}
local said = redis.call('GET', KEYS[1])
if said and said ~= ARGV[1] and (ARGV[3] == '' or said ~= ARGV[3]) then
  return { said, redis.call('PTTL', KEYS[1]) }
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false

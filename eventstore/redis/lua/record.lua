#!lua flags=allow-oom
-- record: put another record in the place of the one that was read; one that was changed or removed meanwhile stays so.
-- KEYS 1 registry:<kind>
-- ARGV 1 name 2 what was read 3 what is to be there
-- Replies 1 done, 0 it was not there any more
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1

#!lua flags=allow-oom
-- view_switch: readers use the generation that was being built from now on.
-- KEYS 1 views (hash: projection -> generation in use, projection/next -> generation being built)
-- ARGV 1 projection 2 generation ; replies 1 done, 0 it is not the one being built any more
if redis.call('HGET', KEYS[1], ARGV[1] .. '/next') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[1], ARGV[1] .. '/next')
return 1

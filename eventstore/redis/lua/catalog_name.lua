#!lua
-- catalog_name: write a name of the catalog anew, as its events have it, unless it is no longer what was read.
-- KEYS 1 catalog 2 catalog:names 3 catalog:words
-- ARGV 1 name 2 what was read, '' for nothing 3 what its events come to, '' for none: then it goes 4.. words that it may be found by
-- Replies 1 written, 0 others have written to it since
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
  return 1
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
for i = 4, #ARGV do redis.call('ZADD', KEYS[3], 0, ARGV[i]) end
return 1

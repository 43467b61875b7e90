#!lua flags=allow-oom
-- checkpoint: store how far a consumer has come; it only rises.
-- KEYS 1 checkpoints (hash: consumer -> n) ; ARGV 1 consumer 2 n
-- Replies {1, n} stored; {-5, current} not rising
-- Only up: of two processes that work for one consumer, the slower one must not take the other back.
local current = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
if tonumber(ARGV[2]) <= current then return { -5, current } end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return { 1, tonumber(ARGV[2]) }

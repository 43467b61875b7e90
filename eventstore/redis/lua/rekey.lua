#!lua flags=allow-oom
-- rekey: put another wrapping of a run's data key in the place of the one that was read; a key that was shredded or
-- replaced meanwhile stays as it is.
-- KEYS 1 key:<run>
-- ARGV 1 what was read 2 what is to be there
-- Replies 1 done, 0 it was not there any more
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1

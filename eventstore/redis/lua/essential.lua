#!lua flags=allow-oom
-- essential: one command that goes on in a server at its memory limit: what work under way cannot do without.
-- KEYS 1 the key that it writes ; ARGV 1 command 2.. what comes after the key
-- Reply: that of the command
return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))

#!lua flags=allow-oom
-- members: who works on a store. Whether somebody is alive is judged by this server's clock and no other: that of a worker
-- that ran ahead would keep it alive long after its end.
-- KEYS 1 <prefix>:workers hash: name -> JSON of what is shown of it, with seen_ms
-- ARGV 1 name, '' to look only 2 JSON object with at least one member
-- Replies {ms, name, JSON ..}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('{"seen_ms":%.0f,', now) .. string.sub(ARGV[2], 2))
end
local out = redis.call('HGETALL', KEYS[1])
table.insert(out, 1, now)
return out

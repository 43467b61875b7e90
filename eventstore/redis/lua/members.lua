#!lua flags=allow-oom
-- members: who works on a store. Whether somebody is alive is judged by this server's clock and no other: that of a worker
-- that ran ahead would keep it alive long after its end.
-- KEYS 1 <prefix>:workers hash: name -> JSON of what is shown of it, with seen_ms
--      or <prefix>:remote, of those who work over HTTP: what must not be given partitions to look after
-- ARGV 1 name, '' to look only 2 JSON object with at least one member .. and so on
-- Replies {ms, name, JSON ..}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[1] ~= '' then
  for i = 1, #ARGV, 2 do
    redis.call('HSET', KEYS[1], ARGV[i], string.format('{"seen_ms":%.0f,', now) .. string.sub(ARGV[i + 1], 2))
  end
end
local out = redis.call('HGETALL', KEYS[1])
table.insert(out, 1, now)
return out

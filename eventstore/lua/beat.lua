-- beat: one process extends its leases in one partition. Keyspace: runs_common.lua.
-- KEYS 1 meta 2 due
-- ARGV 1 lease ms 2.. triples: run, step, fence
-- Replies {1 held | 2 held, and the run is asked to cancel | 0 lost ..}, in the order asked
local out = {}
for i = 2, #ARGV, 3 do
  local run, step, fence = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local h = redis.call('HMGET', B .. 'head:' .. run, 'can', 's:' .. step)
  local r = h[2] and parse(h[2])
  if not r or r.fence ~= fence then
    out[#out + 1] = 0
  else
    local expiry = NOW + tonumber(ARGV[1])
    if tonumber(r.deadline) > 0 and tonumber(r.deadline) < expiry then expiry = tonumber(r.deadline) end
    r.expiry = int(expiry)
    redis.call('HSET', B .. 'head:' .. run, 's:' .. step, pack(r))
    due_add(expiry, 'l|' .. run .. '|' .. step)
    out[#out + 1] = h[1] == '1' and not string.find(step, '~', 1, true) and 2 or 1 -- what undoes goes on
  end
end
return out

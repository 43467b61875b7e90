-- beat: one process extends its leases in one partition, or says that it begins what it has claimed. Keyspace:
--   runs_common.lua.
-- KEYS 1 meta 2 due
-- ARGV 1 lease ms 2 begin | '' 3.. triples: run, step, fence
-- Replies {1 held | 2 held, and the run is asked to cancel | 0 lost ..}, in the order asked
local out, heads = {}, {}

-- 1. All heads are read before the first lease is extended.
for i = 3, #ARGV, 3 do heads[i] = redis.call('HMGET', B .. 'head:' .. ARGV[i], 'can', 's:' .. ARGV[i + 1]) end

-- 2. Writes.
for i = 3, #ARGV, 3 do
  local run, step, fence = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local h = heads[i]
  local r = h[2] and parse(h[2])
  -- The fence and not the worker's name: the same worker may have claimed the step again since, and an attempt whose
  -- lease was taken back must not live on by the lease of the next one.
  if not r or r.fence ~= fence then
    out[#out + 1] = 0
  else
    -- 'begin' is said before the component is called: from here on, nobody can tell that the step has done nothing.
    if ARGV[2] == 'begin' and unbegun(r) then r.worker = string.sub(r.worker, 2) end
    extend(r, run .. '|' .. step, tonumber(ARGV[1]))
    redis.call('HSET', B .. 'head:' .. run, 's:' .. step, pack(r))
    out[#out + 1] = h[1] == '1' and not string.find(step, '~', 1, true) and 2 or 1 -- what undoes goes on
  end
end
write_changes()
return out

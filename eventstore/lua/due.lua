-- due: what time has brought. Keyspace: runs_common.lua.
-- Retries whose wait is over move to ready here; the rest is handed out and pushed forward, never removed:
-- only the commit that makes a member unnecessary removes it, so a relay that dies loses nothing.
-- KEYS 1 meta 2 due
-- ARGV 1 at most 2 push ms 3.. queues to report on
-- Replies {ms, ms to the next member or -1, {member, kind, fence, 1 when its worker has not begun it}.., {ready, age ms of the oldest or -1}.. per queue,
--   queues to which a retry moved}
local items = redis.call('ZRANGE', KEYS[2], '-inf', int(NOW), 'BYSCORE', 'LIMIT', 0, ARGV[1])
local RECORDED = { l = true, r = true, q = true, T = true } -- members of steps that have a record in the head
local out, report, moved = {}, {}, {}
for _, m in ipairs(items) do
  local kind, key = string.sub(m, 1, 1), string.sub(m, 3)
  local cut = string.find(key, '|', 1, true)
  if cut and RECORDED[kind] then
    local run, step = string.sub(key, 1, cut - 1), string.sub(key, cut + 1)
    local h = redis.call('HMGET', B .. 'head:' .. run, 'st', 's:' .. step)
    local r = h[2] and parse(h[2])
    if not r or (kind == 'l' and r.fence == '') or (kind == 'r' and r.fence ~= '') then
      redis.call('ZREM', KEYS[2], m)
    elseif kind == 'r' then
      redis.call('ZREM', KEYS[2], m)
      if OPEN[h[1]] then
        ready_add(r.queue, r.prio, key)
        moved[#moved + 1] = r.queue
      end
    elseif kind == 'l' and tonumber(r.expiry) > NOW then
      due_add(r.expiry, m)
    else
      local why = kind
      if kind == 'l' and tonumber(r.deadline) > 0 and NOW >= tonumber(r.deadline) then why = 'o' end
      out[#out + 1] = { m, why, r.fence, unbegun(r) and 1 or 0 }
      due_add(NOW + tonumber(ARGV[2]), m)
    end
  elseif redis.call('EXISTS', B .. (kind == 's' and 'schedule:' or 'head:') .. (cut and string.sub(key, 1, cut - 1) or key)) == 0 then
    redis.call('ZREM', KEYS[2], m)
  else
    out[#out + 1] = { m, kind, '', 0 }
    due_add(NOW + tonumber(ARGV[2]) * (kind == 'c' and 2 or 1), m)
  end
end
for i = 3, #ARGV do
  local q = B .. 'ready:' .. ARGV[i]
  local first = redis.call('ZRANGE', q, 0, 0, 'WITHSCORES')
  report[#report + 1] = { redis.call('ZCARD', q), first[2] and NOW - tonumber(first[2]) or -1 }
end
local next_due = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
return { NOW, next_due[2] and math.max(0, tonumber(next_due[2]) - NOW) or -1, out, report, moved }

-- due: what time has brought to some partitions, which are of one server. Keyspace: runs_common.lua.
-- Retries whose wait is over move to ready here; the rest is handed out and pushed forward, never removed:
-- only the commit that makes a member unnecessary removes it, so a relay that dies loses nothing.
-- KEYS for each partition: meta, due
-- ARGV 1 at most, of each partition 2 push ms 3.. queues to report on
-- Replies, for each partition, an error of the server where it cannot be looked at, or {ms, ms to the next member or -1, {member, kind, fence, 1 when its worker has not begun it}..,
--   {ready, age ms of the oldest or -1, {component, steps set aside for it}..}.. per queue, queues to which a retry moved}
local most = tonumber(ARGV[1])
local function items_of(due)
  local items = redis.call('ZRANGE', due, '-inf', int(NOW), 'BYSCORE', 'LIMIT', 0, most)
  -- When more is due than is taken at once, some of it is the oldest, some the newest and some from all over, and of a run no
  -- more than leaves room for others: what became due just now does not wait until all that was due before is done.
  if #items == most then
    local count = redis.call('ZCOUNT', due, '-inf', int(NOW))
    local oldest = redis.call('ZRANGE', due, 0, math.min(4 * most, count) - 1)
    local newest = redis.call('ZRANGE', due, math.max(0, count - 4 * most), count - 1)
    local chosen, of_run, each = {}, {}, math.ceil(most / 8)
    local function choose(m, up_to, crowded)
      local run = string.match(m, '^.|([^|]*)')
      if #chosen >= up_to or chosen[m] or (not crowded and (of_run[run] or 0) >= each) then return end
      of_run[run] = (of_run[run] or 0) + 1
      chosen[m] = true
      chosen[#chosen + 1] = m
    end
    for _, m in ipairs(oldest) do choose(m, math.ceil(most / 3)) end
    for i = #newest, 1, -1 do choose(newest[i], math.ceil(2 * most / 3)) end
    for i = 0, most - 1 do
      local rank = (US + math.floor(i * count / most)) % count
      choose(redis.call('ZRANGE', due, rank, rank)[1], most)
    end
    for _, m in ipairs(oldest) do choose(m, most, true) end -- there is room left
    items = chosen
  end
  return items
end
local RECORDED = { l = true, r = true, q = true, T = true } -- members of steps that have a record in the head

-- 1. What is there: all heads, schedules and queues are looked at before the first write.
local function look_at(p)
  local items, heads, there, aside, queues = items_of(p.due), {}, {}, {}, {}
  for i, m in ipairs(items) do
    local kind, key = string.sub(m, 1, 1), string.sub(m, 3)
    local cut = string.find(key, '|', 1, true)
    local owner = cut and string.sub(key, 1, cut - 1) or key
    if cut and RECORDED[kind] then
      local step = string.sub(key, cut + 1)
      heads[i] = redis.call('HMGET', B .. 'head:' .. owner, 'st', 's:' .. step, 'k:' .. step)
      if kind == 'r' and heads[i][2] then
        local queue = parse(heads[i][2]).queue
        queues[queue] = true
        look_at_share(queue, heads[i][3])
      end
    else
      there[i] = redis.call('EXISTS', B .. (kind == 's' and 'schedule:' or 'head:') .. owner) == 1
    end
  end
  for i = 3, #ARGV do queues[ARGV[i]] = true end
  look_at_queues(queues)
  for i = 3, #ARGV do
    aside[i] = {}
    for _, component in ipairs(redis.call('SRANDMEMBER', B .. 'aside:' .. ARGV[i], 64)) do
      table.insert(aside[i], { component, redis.call('ZCARD', B .. 'ready:' .. ARGV[i] .. '|' .. component) })
    end
  end
  p.items, p.heads, p.there, p.aside = items, heads, there, aside
end

-- 2. Writes.
local function act_on(p)
  local items, heads, there, aside = p.items, p.heads, p.there, p.aside
  local out, report, moved = {}, {}, {}
  for i, m in ipairs(items) do
    local kind, key = string.sub(m, 1, 1), string.sub(m, 3)
    if heads[i] then
      local h = heads[i]
      -- The record says what is so, and a member is a hint at it: one that comes late, or twice, changes nothing.
      local r = h[2] and parse(h[2])
      if not r or (kind == 'l' and r.fence == '') or (kind == 'r' and r.fence ~= '') then
        due_drop(m)
      elseif kind == 'r' then
        due_drop(m)
        if OPEN[h[1]] then
          ready_add(r.queue, r.prio, key, h[3] or nil)
          moved[#moved + 1] = r.queue
        end
      elseif kind == 'l' and tonumber(r.expiry) > NOW then
        due_add(r.expiry, m)
      else
        -- The fence goes along: a decision that comes after another claim of the step is refused by it (commit.lua).
        local why = kind
        if kind == 'l' and tonumber(r.deadline) > 0 and NOW >= tonumber(r.deadline) then why = 'o' end
        out[#out + 1] = { m, why, r.fence, unbegun(r) and 1 or 0 }
        due_add(NOW + tonumber(ARGV[2]), m)
      end
    elseif not there[i] then
      due_drop(m)
    else
      out[#out + 1] = { m, kind, '', 0 }
      due_add(NOW + tonumber(ARGV[2]) * (kind == 'c' and 2 or 1), m)
    end
  end
  local next_due
  write_changes(function() -- the sets are read before something leaves them
    for i = 3, #ARGV do
      local count, age = 0, -1
      for _, q in ipairs({ B .. 'ready:' .. ARGV[i], B .. 'fair:' .. ARGV[i] }) do
        local first = redis.call('ZRANGE', q, 0, 0, 'WITHSCORES')
        count = count + redis.call('ZCARD', q)
        if first[2] then age = math.max(age, NOW - tonumber(first[2])) end
      end
      report[#report + 1] = { count, age, aside[i] }
    end
    local first = redis.call('ZRANGE', p.due, 0, #items, 'WITHSCORES')
    for i = 1, #first, 2 do
      if due_has(first[i]) then
        next_due = tonumber(first[i + 1])
        break
      end
    end
  end)
  return { NOW, next_due and math.max(0, next_due - NOW) or -1, out, report, moved }
end

local partitions, replies = {}, {}
for i = 1, #KEYS, 2 do partitions[#partitions + 1] = { base = string.sub(KEYS[i], 1, -5), due = KEYS[i + 1] } end
-- What is damaged in one partition is its own affair: its error is its answer, and what is due in the others goes on.
local function answer_of(p, step)
  if #partitions == 1 then return step(p) end
  if p.failed then return p.failed end
  local fine, reply = pcall(step, p)
  if not fine then
    reply = { err = type(reply) == 'table' and reply.err or tostring(reply) }
    p.failed = reply
  end
  return reply
end
for _, step in ipairs({ look_at, act_on }) do
  for i, p in ipairs(partitions) do
    B, changes = p.base, {}
    replies[i] = answer_of(p, step)
  end
end
return replies

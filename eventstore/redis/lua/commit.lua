-- commit: one atomic step of a run. Keyspace: runs_common.lua.
-- KEYS 1 meta 2 log 3 run:<run> 4 head:<run> 5 due
-- ARGV 1 options (JSON) 2 commit id 3 actor 4 cause 5 run 6.. pairs: event type, event data
-- Options: mode new|cas|fact|adopt (adopt.lua), v and lc (what the caller folded), nf (leading events that are facts),
--   whole (nothing, rather than the facts alone),
--   facts {{step, fence, final 0|1}..}, guard {step, fence, 1 when it has not begun} (its
--   lease must have run out, and what it says must be so), st, can, hold, def, wf,
--   f (last fence of attempts begun without a claim),
--   open {{step, queue, prio, stc, delay, sts, total, event index, attempts so far, component}..},
--   reopen {{step, delay, sts, stc, component}..},
--   seat {{step, queue, prio, stc, attempts so far, scheduled version, flags, ready 0|1, component}..} (records as they are),
--   shut {step..}, park/unpark {step..}, timers {{member, delay, time or 0}..}, untimers {member..}, settle,
--   claim {worker, lease ms, at most, queue, {component that it lacks..}}, key (the wrapped data key of a new run: it comes with the run's first
--   events or not at all), wipe {kind..} (keys <kind>:<run> that are no more from here on)
-- Replies {code, version, n, ms, ...}: 1 done {claims}; 2 duplicate {missed}; 3 facts done, decision dropped {missed}; after
--   what 1 and 3 say comes 1 when the log has an entry of n and ms, else 0, and the epoch (look_back.lua);
--   -1 conflict {missed}; -2 ahead; -3 fenced {steps}; -4 unknown run; -6 exists; -8 lease held; -10 diverged; -12 not staged;
--   -14 a payload that it refers to is gone; -16 the run has come in only in part
local o = cjson.decode(ARGV[1])
local CID, ACTOR, CAUSE, RUN = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local HEAD, STREAM, DUE = KEYS[4], KEYS[3], KEYS[5]
local h = redis.call('HMGET', HEAD, 'v', 'lc', 'st', 'f')
local v = tonumber(h[1] or '0')
local exp = o.v or 0
local function commit_of(e)
  for i = 1, #e[2], 2 do
    if e[2][i] == 'c' then return e[2][i + 1] end
  end
end
local function after(first, count)
  return redis.call('XRANGE', STREAM, int(first) .. '-0', '+', 'COUNT', count)
end
-- What the caller has not folded; bounded, because one that is further behind reloads, and nothing at all to one whose
-- last event is not on the log: the tail was lost, and other history may stand at the same versions.
local function missed()
  if exp >= v then return {} end
  if exp > 0 then
    local e = redis.call('XRANGE', STREAM, int(exp) .. '-0', int(exp) .. '-0')
    if not e[1] or commit_of(e[1]) ~= o.lc then return {} end
  end
  return after(exp + 1, 500)
end
local function applied(first)
  local from = first
  while from <= v do
    local es = after(from, 500)
    if #es == 0 then return false end
    for _, e in ipairs(es) do
      if commit_of(e) == CID then return true end
    end
    from = from + #es
  end
  return false
end
local CLOSED = { completed = true, failed = true, cancelled = true }
local function refuse(code, extra) return { code, v, 0, NOW, extra or {} } end

-- 1. Guards. Nothing is written before all of them have passed.
local facts_only = false
if o.mode == 'new' then
  if v > 0 then
    if applied(1) then return refuse(2, missed()) end
    return refuse(-6)
  end
  if redis.call('HEXISTS', B .. 'gone', RUN) == 1 then return refuse(-6) end
  for _, sha in ipairs(o.refers or {}) do
    if redis.call('EXISTS', B .. 'blob:' .. sha) == 0 then return refuse(-14) end
  end
elseif o.mode == 'adopt' then
  if redis.call('HEXISTS', HEAD, 'adopting') == 1 and redis.call('EXISTS', STREAM) == 1 then return refuse(-16) end
  if v > 0 then return refuse(exp <= v and holds(STREAM, exp, o.lc) and 2 or -6) end
  if o.back ~= '1' and redis.call('HEXISTS', B .. 'gone', RUN) == 1 then return refuse(-6) end
  if not staged(KEYS[6], exp) then return refuse(-12) end
elseif v == 0 then
  return refuse(-4)
elseif o.mode == 'cas' then
  if exp > v then return refuse(-2) end
  if exp < v then
    if applied(exp + 1) then return refuse(2, missed()) end
    return refuse(-1, missed())
  end
  if o.lc ~= h[2] then return refuse(-10) end
  if o.guard then
    local s = redis.call('HGET', HEAD, 's:' .. o.guard[1])
    if not s then return refuse(-8) end
    local r = parse(s)
    if r.fence ~= o.guard[2] or (r.fence ~= '' and tonumber(r.expiry) > NOW) then return refuse(-8) end
    if o.guard[3] == 1 and not unbegun(r) then return refuse(-8) end
  end
else
  local lost = {}
  for _, f in ipairs(o.facts) do
    local s = redis.call('HGET', HEAD, 's:' .. f[1])
    f[4] = s and parse(s)
    if not s or f[2] == '' or f[4].fence ~= f[2] then lost[#lost + 1] = f[1] end
  end
  if #lost > 0 then
    if exp < v and applied(exp + 1) then return refuse(2, missed()) end
    return refuse(-3, lost)
  end
  if exp ~= v or o.lc ~= h[2] then
    if o.whole then return refuse(-1, missed()) end
    facts_only = true
  end
end

for _, s in ipairs(o.reopen or {}) do -- a record that is missing would fail below, after writes
  if redis.call('HEXISTS', HEAD, 's:' .. s[1]) == 0 then return refuse(-10) end
end

-- The keys that are not among KEYS are looked at before the first write.
if o.mode == 'adopt' then look(B .. 'gone') end
if not facts_only then
  local queues = {}
  for _, s in ipairs(o.open or {}) do queues[s[2]] = true end
  for _, s in ipairs(o.seat or {}) do queues[s[2]] = true end
  local function of_record(step)
    local s = redis.call('HMGET', HEAD, 's:' .. step, 'c:' .. step)
    local queue = s[1] and parse(s[1]).queue
    if queue then queues[queue] = true end
    if queue and s[2] then queues[queue .. '|' .. s[2]] = true end
  end
  for _, s in ipairs(o.reopen or {}) do of_record(s[1]) end
  for _, steps in ipairs({ o.shut or {}, o.park or {}, o.unpark or {} }) do
    for _, step in ipairs(steps) do of_record(step) end
  end
  look_at_queues(queues)
  if o.key then look(B .. 'key:' .. RUN) end
  if CLOSED[o.st] then look(B .. 'end:' .. RUN) end
  for _, kind in ipairs(o.wipe or {}) do look(B .. kind .. ':' .. RUN) end
end

-- 2. Events. The explicit id is the second lock: were head and log ever apart, this first write would fail.
local total = (#ARGV - 5) / 2
if facts_only then total = o.nf end
local meta = redis.call('HMGET', KEYS[1], 'n', 'e')
local n, epoch = tonumber(meta[1] or '0'), tonumber(meta[2] or '0')
if o.mode == 'adopt' then
  redis.call('HSET', HEAD, 'adopting', '1')
  n, v = take_over(KEYS[6], KEYS[2], STREAM, RUN, n), exp
  redis.call('HSET', KEYS[1], 'n', int(n))
  redis.call('HSET', HEAD, 'v', int(v), 'lc', o.lc)
end
local v0 = v
local function append(kind, data)
  v = v + 1
  n = n + 1
  redis.call('XADD', STREAM, v .. '-0', 't', kind, 'd', data, 'm', NOW, 'n', n, 'c', CID, 'a', ACTOR, 'y', CAUSE)
end
for i = 1, total do append(ARGV[4 + 2 * i], ARGV[5 + 2 * i]) end
local set = {}
local gone = {}

-- 3. The indexes that follow from the events.
for _, f in ipairs(o.facts or {}) do
  local r, key = f[4], RUN .. '|' .. f[1]
  due_drop('l|' .. key)
  if f[3] == 1 then
    gone[#gone + 1] = 's:' .. f[1]
    gone[#gone + 1] = 'c:' .. f[1]
    if string.find(r.flags, 'T', 1, true) then due_drop('T|' .. key) end
  else
    r.fence, r.worker, r.expiry, r.deadline = '', '', '0', '0'
    redis.call('HSET', HEAD, 's:' .. f[1], pack(r))
  end
end
local claims = {}
if facts_only then
  due_add(NOW + 300, 'w|' .. RUN)
  -- What a step held is given back because it has ended, whatever is decided on that: whoever decides does not ask again.
  local ended = {}
  for _, f in ipairs(o.facts) do
    if f[3] == 1 then ended['u|' .. RUN .. '|' .. f[1]] = true end
  end
  for _, t in ipairs(o.timers or {}) do
    if ended[t[1]] then due_add(NOW, t[1]) end
  end
else
  for _, step in ipairs(o.shut or {}) do
    local s = redis.call('HMGET', HEAD, 's:' .. step, 'c:' .. step)
    if s[1] then
      local r, key = parse(s[1]), RUN .. '|' .. step
      gone[#gone + 1] = 's:' .. step
      gone[#gone + 1] = 'c:' .. step
      due_drop('l|' .. key)
      if string.find(r.flags, 'q', 1, true) then due_drop('q|' .. key) end
      if string.find(r.flags, 'T', 1, true) then due_drop('T|' .. key) end
      if r.fence == '' then
        ready_drop(r.queue, key, s[2])
        due_drop('r|' .. key)
      end
    end
  end
  for _, s in ipairs(o.park or {}) do
    local rec = redis.call('HMGET', HEAD, 's:' .. s, 'c:' .. s)
    if rec[1] then ready_drop(parse(rec[1]).queue, RUN .. '|' .. s, rec[2]) end
  end
  if o.untimers then for _, m in ipairs(o.untimers) do due_drop(m) end end
  if o.settle then due_drop('w|' .. RUN) end
end
for i = 1, #gone, 500 do redis.call('HDEL', HEAD, unpack(gone, i, math.min(i + 499, #gone))) end
if not facts_only then
  local fence = math.max(tonumber(h[4] or '0'), tonumber(o.f or '0'))
  local lacks = {}
  for _, component in ipairs(o.claim and o.claim[5] or {}) do lacks[component] = true end
  local function calls(step, component)
    if component and component ~= '' then
      set[#set + 1] = 'c:' .. step
      set[#set + 1] = component
    end
  end
  for _, s in ipairs(o.reopen or {}) do
    local key = RUN .. '|' .. s[1]
    local r = parse(redis.call('HGET', HEAD, 's:' .. s[1]))
    r.fence, r.worker, r.expiry, r.deadline, r.stc = '', '', '0', '0', int(s[4])
    due_drop('l|' .. key)
    if s[3] > 0 then
      due_add(NOW + s[2] + s[3], 'q|' .. key)
      if not string.find(r.flags, 'q', 1, true) then r.flags = r.flags .. 'q' end
    end
    if s[2] > 0 then due_add(NOW + s[2], 'r|' .. key) else ready_add(r.queue, r.prio, key) end
    redis.call('HSET', HEAD, 's:' .. s[1], pack(r))
    calls(s[1], s[5])
  end
  for _, s in ipairs(o.open or {}) do
    local key = RUN .. '|' .. s[1]
    local r = { queue = s[2], prio = int(s[3]), attempt = s[9], sv = v0 + s[8], stc = int(s[4]), flags = '',
      fence = '', worker = '', expiry = '0', deadline = '0' }
    if s[7] > 0 then
      r.flags = 'T'
      due_add(NOW + s[7], 'T|' .. key)
    end
    local c = o.claim
    if s[5] > 0 then
      due_add(NOW + s[5], 'r|' .. key)
    elseif c and c[4] == s[2] and #claims < c[3] and not lacks[s[10]] then
      fence = next_fence(fence)
      lease(r, fence, c[1], c[2])
      due_add(r.expiry, 'l|' .. key)
      append('StepStarted', started(s[1], r))
      claims[#claims + 1] = { s[1], r.fence, tonumber(r.attempt), r.deadline }
    else
      if s[6] > 0 then
        r.flags = r.flags .. 'q'
        due_add(NOW + s[6], 'q|' .. key)
      end
      ready_add(s[2], s[3], key)
    end
    set[#set + 1] = 's:' .. s[1]
    set[#set + 1] = pack(r)
    calls(s[1], s[10])
  end
  for _, s in ipairs(o.seat or {}) do
    set[#set + 1] = 's:' .. s[1]
    set[#set + 1] = pack({ queue = s[2], prio = int(s[3]), attempt = int(s[5]), sv = int(s[6]), stc = int(s[4]),
      flags = s[7], fence = '', worker = '', expiry = '0', deadline = '0' })
    calls(s[1], s[9])
    if s[8] == 1 then ready_add(s[2], s[3], RUN .. '|' .. s[1]) end
  end
  if #claims > 0 or o.f then
    set[#set + 1] = 'f'
    set[#set + 1] = int(fence)
  end
  for _, s in ipairs(o.unpark or {}) do
    local key, rec = RUN .. '|' .. s, redis.call('HGET', HEAD, 's:' .. s)
    if rec and not due_has('r|' .. key) then
      local r = parse(rec)
      if r.fence == '' then ready_add(r.queue, r.prio, key) end
    end
  end
  if o.key then redis.call('SET', B .. 'key:' .. RUN, o.key) end
  for _, kind in ipairs(o.wipe or {}) do redis.call('DEL', B .. kind .. ':' .. RUN) end
  for _, t in ipairs(o.timers or {}) do due_add(t[3] > 0 and t[3] or NOW + t[2], t[1]) end
  for _, name in ipairs({ 'st', 'can', 'hold', 'def', 'wf' }) do
    if o[name] then
      set[#set + 1] = name
      set[#set + 1] = o[name]
    end
  end
end

write_changes()

-- 4. One log entry and the head.
if v > v0 then
  redis.call('XADD', KEYS[2], n .. '-' .. NOW, 'r', RUN, 'f', v0 + 1, 'l', v)
  redis.call('HSET', KEYS[1], 'n', n)
  set[#set + 1] = 'v'
  set[#set + 1] = v
  set[#set + 1] = 'lc'
  set[#set + 1] = CID
end
for i = 1, #set, 500 do redis.call('HSET', HEAD, unpack(set, i, math.min(i + 499, #set))) end
if o.mode == 'adopt' then
  redis.call('HDEL', B .. 'gone', RUN)
  redis.call('HDEL', HEAD, 'adopting')
end
-- Last, so that whoever is woken reads all of it; there is nobody to wake where nobody has said that he waits (await.lua).
if not facts_only and CLOSED[o.st] then redis.call('XADD', B .. 'end:' .. RUN, 'NOMKSTREAM', '*', 'e', '1') end
local logged = v > v0 and 1 or 0
if facts_only then return { 3, v, n, NOW, missed(), logged, epoch } end
return { 1, v, n, NOW, claims, logged, epoch }

-- commit: atomic steps of runs of one partition, one for each run; what is wrong with one is no other's affair. Keyspace:
--   runs_common.lua.
-- KEYS 1 meta 2 log 3 due 4.. for each commit: run:<run>, head:<run> (and last the stage of adopt.lua)
-- ARGV for each commit: options (JSON), commit id, actor, cause, run, how many events, then pairs: event type, event data
-- Options: mode new|cas|fact|adopt (adopt.lua), v and lc (what the caller folded), nf (leading events that are facts),
--   whole (nothing, rather than the facts alone), stands (the decision is the same behind claims that came meanwhile),
--   facts {{step, fence, whether it is final}..}, guard {step, fence, whether it has not begun} (its
--   lease must have run out, and what it says must be so), st, can, hold, def, wf,
--   f (last fence of attempts begun without a claim),
--   open {{step, queue, prio, stc, delay, sts, total, event index, attempts so far, component}..},
--   reopen {{step, delay, sts, stc, component}..},
--   fair {{step, key, weight}..} (shares of the steps that it opens and seats),
--   seat {{step, queue, prio, stc, attempts so far, scheduled version, flags, whether it is ready, component}..} (records as they are),
--   shut {step..}, park/unpark {step..}, timers {{member, delay, time or 0}..}, untimers {member..}, settle,
--   claim {worker, lease ms, at most, queue, {component that it lacks..}, {component: build..}}, key (the wrapped data key of a new run: it comes with the run's first
--   events or not at all), wipe {kind..} (keys <kind>:<run> that are no more from here on), await (ms: whoever starts the run
--   waits for its end; this is noted for so long, as by await.lua), name {name, run} (a run that begins, comes in or is opened again has this name from here on,
--   if it is that run's now, which has ended, "" for nobody's: a hash <names> of the partition), room {at most, {queue..}} (a run begins only where
--   none of these queues has so many steps ready in this partition)
-- Replies {1 when anything was written, else 0; 0; n; ms; {answer..}; 1 when the log has an entry of n and ms, else 0; epoch
--   (look_back.lua)}. An answer is an error of the server, or {code, version, n, ms, ...}: 1 done {claims} {missed}; 2 duplicate {missed};
--   3 facts done, decision dropped {missed}; -1 conflict {missed}; -2 ahead; -3 fenced {steps}; -4 unknown run; -6 exists;
--   -8 lease held; -10 diverged; -12 not staged; -14 a payload that it refers to is gone; -16 the run has come in only in part;
--   -18 the name is another run's {run}; -20 a queue has no room {queue}
local CLOSED = { completed = true, failed = true, cancelled = true }
local meta = redis.call('HMGET', KEYS[1], 'n', 'e')
local n, epoch = tonumber(meta[1] or '0'), tonumber(meta[2] or '0')

-- A commit on its way: o options, id, actor, cause, run, stream and head (names of keys), first and count of its events in
-- ARGV, h what is read of the head: version, last commit, status, last fence, and the records of steps with facts; v version,
-- exp the version that its caller knows.
local function commit_at(place, number)
  local c = { o = cjson.decode(ARGV[place]), id = ARGV[place + 1], actor = ARGV[place + 2], cause = ARGV[place + 3],
    run = ARGV[place + 4], count = tonumber(ARGV[place + 5]), first = place + 6, stream = KEYS[2 + 2 * number],
    head = KEYS[3 + 2 * number], facts_only = false, taken = {}, shares = {} }
  c.exp = c.o.v or 0
  local fields = { 'v', 'lc', 'st', 'f' }
  for _, f in ipairs(c.o.facts or {}) do fields[#fields + 1] = 's:' .. f[1] end
  c.h = fields_of(c.head, fields)
  c.v = tonumber(c.h[1] or '0')
  return c
end
local function commit_of(e)
  for i = 1, #e[2], 2 do
    if e[2][i] == 'c' then return e[2][i + 1] end
  end
end
local function from(c, version, count)
  return redis.call('XRANGE', c.stream, int(version) .. '-0', '+', 'COUNT', count)
end
-- The last event that the caller has folded and those behind it, and which of them is the first of those. They are read
-- once, until something is written, as several questions are asked of them.
local function tail_of(c)
  c.tail = c.tail or from(c, c.exp, c.exp > 0 and 501 or 500)
  return c.tail, c.tail[1] and c.tail[1][1] == int(c.exp) .. '-0' and 2 or 1
end
-- What the caller has not folded; bounded, because one that is further behind reloads, and nothing at all to one whose
-- last event is not on the log: the tail was lost, and other history may stand at the same versions.
local function missed(c)
  if c.exp >= c.v then return {} end
  local tail, first = tail_of(c)
  if c.exp > 0 and (first == 1 or commit_of(tail[1]) ~= c.o.lc) then return {} end
  return { unpack(tail, first) }
end
-- What was missed, if all of it are claims of others: a decision that stands is carried out behind them, and its caller
-- folds them first. Most often the last commit, which a claim names k<fence>, says that there is something else.
local function claims_alone(c)
  local may_be = c.o.stands and c.exp < c.v and c.v - c.exp <= 500 and string.sub(c.h[2], 1, 1) == 'k'
  local es = may_be and missed(c) or {}
  for _, e in ipairs(es) do
    if e[2][2] ~= 'StepStarted' then return end
  end
  return #es > 0 and es or nil
end
local function applied(c)
  local version, es, first = c.exp, tail_of(c)
  while #es >= first do
    for i = first, #es do
      if commit_of(es[i]) == c.id then return true end
    end
    version = version + #es - first + 1
    es, first = version < c.v and from(c, version + 1, 500) or {}, 1
  end
  return false
end
local function refuse(c, code, extra) return { code, c.v, 0, NOW, extra or {} } end

-- 1. Guards: the answer to a commit that is not carried out. Nothing is written before all commits have passed here.
-- Who has the name that a run is to have, where that is not who had it when its caller looked, or goes on: it had ended
-- then, but a run may be opened again.
local function other_holder(c)
  local name = c.o.name
  if not name then return nil end
  local holder = redis.call('HGET', B .. 'names', name[1]) or ''
  if holder ~= name[2] then return holder end
  local status = holder ~= '' and holder ~= c.run and redis.call('HGET', B .. 'head:' .. holder, 'st')
  return status and not CLOSED[status] and holder or nil
end
-- Steps that were set aside for other workers are not counted: nobody here is late with them.
local function full_queue(room)
  for _, queue in ipairs(room and room[2] or {}) do
    local waiting = redis.call('ZCARD', B .. 'ready:' .. queue) + redis.call('ZCARD', B .. 'fair:' .. queue)
    if waiting >= room[1] then return queue end
  end
end
local function refusal(c)
  local o, h, v, exp = c.o, c.h, c.v, c.exp
  local HEAD, STREAM, RUN = c.head, c.stream, c.run
  if o.mode == 'new' then
    if v > 0 then
      if applied(c) then return refuse(c, 2, missed(c)) end
      return refuse(c, -6)
    end
    -- A run that has left the store is not begun once more by a request that comes late: its id stays taken.
    if redis.call('HEXISTS', B .. 'gone', RUN) == 1 then return refuse(c, -6) end
    for _, sha in ipairs(o.refers or {}) do
      if redis.call('EXISTS', B .. 'blob:' .. sha) == 0 then return refuse(c, -14) end
    end
    local holder = other_holder(c)
    if holder then return refuse(c, -18, { holder }) end
    local queue = full_queue(o.room)
    if queue then return refuse(c, -20, { queue }) end
  elseif o.mode == 'adopt' then
    if redis.call('HEXISTS', HEAD, 'adopting') == 1 and redis.call('EXISTS', STREAM) == 1 then return refuse(c, -16) end
    if v > 0 then return refuse(c, exp <= v and holds(STREAM, exp, o.lc) and 2 or -6) end
    if not o.back and redis.call('HEXISTS', B .. 'gone', RUN) == 1 then return refuse(c, -6) end
    local holder = other_holder(c)
    if holder then return refuse(c, -18, { holder }) end
    if not staged(KEYS[#KEYS], exp) then return refuse(c, -12) end
  elseif v == 0 then
    return refuse(c, -4)
  elseif o.mode == 'cas' then
    if exp > v then return refuse(c, -2) end
    if exp < v then
      -- First whether it is among what the caller has not seen: then it was carried out, and its reply was lost.
      if applied(c) then return refuse(c, 2, missed(c)) end
      c.behind = claims_alone(c)
      if not c.behind then return refuse(c, -1, missed(c)) end
    elseif o.lc ~= h[2] then
      -- The version alone is no fence: a log that has lost its tail grows to the same versions with other history.
      return refuse(c, -10)
    end
    -- Who takes a step from a silent worker has looked at its lease some time ago: it has to be the same attempt still, and
    -- its time over now, by the clock that it was given by. A heartbeat that came in between saves it.
    if o.guard then
      local s = redis.call('HGET', HEAD, 's:' .. o.guard[1])
      if not s then return refuse(c, -8) end
      local r = parse(s)
      if r.fence ~= o.guard[2] or (r.fence ~= '' and tonumber(r.expiry) > NOW) then return refuse(c, -8) end
      if o.guard[3] and not unbegun(r) then return refuse(c, -8) end
    end
    local holder = other_holder(c)
    if holder then return refuse(c, -18, { holder }) end
  else
    -- A fact counts under the fence of its attempt, whatever else has happened to the run; without it, somebody else has
    -- the step by now, and this is the late outcome of a worker that was given up.
    local lost = {}
    for i, f in ipairs(o.facts or {}) do
      local s = h[4 + i]
      f[4] = s and parse(s)
      if not s or f[2] == '' or f[4].fence ~= f[2] then lost[#lost + 1] = f[1] end
    end
    if #lost > 0 then
      -- The fences may be gone because this very commit was carried out before, and its reply was lost.
      if exp < v and applied(c) then return refuse(c, 2, missed(c)) end
      return refuse(c, -3, lost)
    end
    -- Others were first. What a worker has found out is true all the same, and is kept; what it has decided on that is not,
    -- because it had not seen what they wrote.
    if exp ~= v or o.lc ~= h[2] then
      if o.whole then return refuse(c, -1, missed(c)) end
      c.behind = claims_alone(c)
      c.facts_only = not c.behind
    end
  end

  for _, s in ipairs(o.reopen or {}) do -- a record that is missing would fail below, after writes
    if redis.call('HEXISTS', HEAD, 's:' .. s[1]) == 0 then return refuse(c, -10) end
  end
end
-- A step with a fairness key is taken along only while no other key has steps in its queue: it takes its turn otherwise.
local function others_wait(queue, share)
  local ring = B .. 'ring:' .. queue
  local mine = redis.call('ZSCORE', ring, key_of(share)) and 1 or 0
  return redis.call('ZCARD', ring) > mine or redis.call('EXISTS', B .. 'ready:' .. queue) == 1
end
-- The keys that are not among KEYS are looked at before the first write.
local function look_ahead(c)
  local o, taken, HEAD, RUN = c.o, c.taken, c.head, c.run
  for _, f in ipairs(o.fair or {}) do c.shares[f[1]] = int(f[3]) .. '|' .. f[2] end
  -- New steps that are claimed with the commit never stand in a queue.
  if o.claim and not c.facts_only then
    local lacks, takes = {}, 0
    for _, component in ipairs(o.claim[5]) do lacks[component] = true end
    for _, s in ipairs(o.open or {}) do
      local share = c.shares[s[1]]
      local may = s[5] <= 0 and s[2] == o.claim[4] and takes < o.claim[3] and not lacks[s[10]]
      if may and not (share and others_wait(s[2], share)) then
        taken[s] = true
        takes = takes + 1
      end
    end
  end
  if o.mode == 'adopt' then look(B .. 'gone') end
  if o.name then look(B .. 'names') end
  if not c.facts_only then
    local queues = {}
    for _, s in ipairs(o.open or {}) do
      if not taken[s] then
        queues[s[2]] = true
        look_at_share(s[2], c.shares[s[1]])
      end
    end
    for _, s in ipairs(o.seat or {}) do
      queues[s[2]] = true
      look_at_share(s[2], c.shares[s[1]])
    end
    local function of_record(step)
      local s = redis.call('HMGET', HEAD, 's:' .. step, 'c:' .. step, 'k:' .. step)
      local queue = s[1] and parse(s[1]).queue
      if queue then queues[queue] = true end
      if queue and s[2] then queues[queue .. '|' .. s[2]] = true end
      if queue then look_at_share(queue, s[3]) end
    end
    for _, s in ipairs(o.reopen or {}) do of_record(s[1]) end
    for _, steps in ipairs({ o.shut or {}, o.park or {}, o.unpark or {} }) do
      for _, step in ipairs(steps) do of_record(step) end
    end
    look_at_queues(queues)
    if o.key then look(B .. 'key:' .. RUN) end
    if CLOSED[o.st] or o.await then look(B .. 'end:' .. RUN) end
    for _, kind in ipairs(o.wipe or {}) do look(B .. kind .. ':' .. RUN) end
  end
end

-- 2. Events. The explicit id is the second lock: were head and log ever apart, this first write would fail.
local function append(c, kind, data)
  c.v, c.tail = c.v + 1, nil
  n = n + 1
  redis.call('XADD', c.stream, c.v .. '-0', 't', kind, 'd', data, 'm', NOW, 'n', n, 'c', c.id, 'a', c.actor, 'y', c.cause)
end
-- 3. The indexes that follow from the events; `set` and `gone` are fields of the head.
local function index(c, v0, set, gone)
  local o, h, taken, facts_only, HEAD, RUN = c.o, c.h, c.taken, c.facts_only, c.head, c.run
  for _, f in ipairs(o.facts or {}) do
    local r, key = f[4], RUN .. '|' .. f[1]
    due_drop('l|' .. key)
    if f[3] then
      gone[#gone + 1] = 's:' .. f[1]
      gone[#gone + 1] = 'c:' .. f[1]
      gone[#gone + 1] = 'k:' .. f[1]
      if string.find(r.flags, 'T', 1, true) then due_drop('T|' .. key) end
    else
      r.fence, r.worker, r.expiry, r.deadline = '', '', '0', '0'
      redis.call('HSET', HEAD, 's:' .. f[1], pack(r))
    end
  end
  local claims = {}
  if facts_only then
    -- Whoever has recorded the facts decides on them again at once; should it die before that, somebody else does.
    due_add(NOW + 300, 'w|' .. RUN)
    -- What a step held is given back because it has ended, whatever is decided on that: whoever decides does not ask again.
    local ended = {}
    for _, f in ipairs(o.facts or {}) do
      if f[3] then ended['u|' .. RUN .. '|' .. f[1]] = true end
    end
    for _, t in ipairs(o.timers or {}) do
      if ended[t[1]] then due_add(NOW, t[1]) end
    end
  else
    for _, step in ipairs(o.shut or {}) do
      local s = redis.call('HMGET', HEAD, 's:' .. step, 'c:' .. step, 'k:' .. step)
      if s[1] then
        local r, key = parse(s[1]), RUN .. '|' .. step
        gone[#gone + 1] = 's:' .. step
        gone[#gone + 1] = 'c:' .. step
        gone[#gone + 1] = 'k:' .. step
        due_drop('l|' .. key)
        if string.find(r.flags, 'q', 1, true) then due_drop('q|' .. key) end
        if string.find(r.flags, 'T', 1, true) then due_drop('T|' .. key) end
        if r.fence == '' then
          ready_drop(r.queue, key, s[2], s[3])
          due_drop('r|' .. key)
        end
      end
    end
    for _, s in ipairs(o.park or {}) do
      local rec = redis.call('HMGET', HEAD, 's:' .. s, 'c:' .. s, 'k:' .. s)
      if rec[1] then ready_drop(parse(rec[1]).queue, RUN .. '|' .. s, rec[2], rec[3]) end
    end
    if o.untimers then for _, m in ipairs(o.untimers) do due_drop(m) end end
    if o.settle then due_drop('w|' .. RUN) end
  end
  -- What goes leaves the head before what comes is written: the record of a step that ends and begins anew must stay.
  for i = 1, #gone, 500 do redis.call('HDEL', HEAD, unpack(gone, i, math.min(i + 499, #gone))) end
  if not facts_only then
    local fence = math.max(tonumber(h[4] or '0'), tonumber(o.f or '0'))
    local function calls(step, component)
      if component and component ~= '' then
        set[#set + 1] = 'c:' .. step
        set[#set + 1] = component
      end
    end
    local function shares(step)
      if c.shares[step] then
        set[#set + 1] = 'k:' .. step
        set[#set + 1] = c.shares[step]
      end
    end
    for _, s in ipairs(o.reopen or {}) do
      local key = RUN .. '|' .. s[1]
      local rec = redis.call('HMGET', HEAD, 's:' .. s[1], 'k:' .. s[1])
      local r = parse(rec[1])
      r.fence, r.worker, r.expiry, r.deadline, r.stc = '', '', '0', '0', int(s[4])
      due_drop('l|' .. key)
      if s[3] > 0 then
        due_add(NOW + s[2] + s[3], 'q|' .. key)
        if not string.find(r.flags, 'q', 1, true) then r.flags = r.flags .. 'q' end
      end
      if s[2] > 0 then due_add(NOW + s[2], 'r|' .. key) else ready_add(r.queue, r.prio, key, rec[2] or nil) end
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
      if s[5] > 0 then
        due_add(NOW + s[5], 'r|' .. key)
      elseif taken[s] then
        fence = next_fence(fence)
        lease(r, fence, o.claim[1], o.claim[2])
        due_add(r.expiry, 'l|' .. key)
        append(c, 'StepStarted', started(s[1], r, (o.claim[6] or {})[s[10]]))
        claims[#claims + 1] = { s[1], r.fence, tonumber(r.attempt), r.deadline }
      else
        if s[6] > 0 then
          r.flags = r.flags .. 'q'
          due_add(NOW + s[6], 'q|' .. key)
        end
        ready_add(s[2], s[3], key, c.shares[s[1]])
      end
      set[#set + 1] = 's:' .. s[1]
      set[#set + 1] = pack(r)
      calls(s[1], s[10])
      shares(s[1])
    end
    for _, s in ipairs(o.seat or {}) do
      set[#set + 1] = 's:' .. s[1]
      set[#set + 1] = pack({ queue = s[2], prio = int(s[3]), attempt = int(s[5]), sv = int(s[6]), stc = int(s[4]),
        flags = s[7], fence = '', worker = '', expiry = '0', deadline = '0' })
      calls(s[1], s[9])
      shares(s[1])
      if s[8] then ready_add(s[2], s[3], RUN .. '|' .. s[1], c.shares[s[1]]) end
    end
    if #claims > 0 or o.f then
      set[#set + 1] = 'f'
      set[#set + 1] = int(fence)
    end
    for _, s in ipairs(o.unpark or {}) do
      local key, rec = RUN .. '|' .. s, redis.call('HMGET', HEAD, 's:' .. s, 'k:' .. s)
      if rec[1] and not due_has('r|' .. key) then
        local r = parse(rec[1])
        if r.fence == '' then ready_add(r.queue, r.prio, key, rec[2] or nil) end
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
  return claims
end
local function write(c)
  local o, HEAD = c.o, c.head
  if o.mode == 'adopt' then
    redis.call('HSET', HEAD, 'adopting', '1')
    n, c.v = take_over(KEYS[#KEYS], KEYS[2], c.stream, c.run, n), c.exp
    redis.call('HSET', KEYS[1], 'n', int(n))
    redis.call('HSET', HEAD, 'v', int(c.v), 'lc', o.lc)
  end
  -- Before the events: a name of a run that is not there is free, and a run without its name would let another one begin.
  if o.name then redis.call('HSET', B .. 'names', o.name[1], c.run) end
  local v0, set, gone = c.v, {}, {}
  for i = c.first, c.first + 2 * ((c.facts_only and (o.nf or 0) or c.count) - 1), 2 do append(c, ARGV[i], ARGV[i + 1]) end
  local claims = index(c, v0, set, gone)

  -- 4. One log entry and the head: behind the events, and in this order. What is cut off between two of these writes (a
  -- server reads half a transaction back) leaves events that no entry names and nobody was told of, which can go, or a head
  -- behind its log, which can be written anew. A head before its log could not be told from a log that has lost its tail.
  if c.v > v0 then
    redis.call('XADD', KEYS[2], n .. '-' .. NOW, 'r', c.run, 'f', v0 + 1, 'l', c.v)
    -- At once, and for each commit: a counter that is behind its log would give the same positions to others.
    redis.call('HSET', KEYS[1], 'n', n)
    c.logged = true
    set[#set + 1] = 'v'
    set[#set + 1] = c.v
    set[#set + 1] = 'lc'
    set[#set + 1] = c.id
  end
  in_parts('HSET', HEAD, set)
  if o.mode == 'adopt' then
    redis.call('HDEL', B .. 'gone', c.run)
    redis.call('HDEL', HEAD, 'adopting')
  end
  -- A note that is there already is left alone: at worst, its end wakes somebody too early, who then looks at the run.
  if o.await and redis.call('EXISTS', B .. 'end:' .. c.run) == 0 then
    redis.call('XADD', B .. 'end:' .. c.run, '0-1', 'e', '0')
    redis.call('PEXPIRE', B .. 'end:' .. c.run, o.await)
  end
  -- Last, so that whoever is woken reads all of it; there is nobody to wake where nobody has said that he waits (await.lua).
  if not c.facts_only and CLOSED[o.st] then redis.call('XADD', B .. 'end:' .. c.run, 'NOMKSTREAM', '*', 'e', '1') end
  if c.facts_only then return { 3, c.v, n, NOW, missed(c) } end
  return { 1, c.v, n, NOW, claims, c.behind or {} }
end

local commits, answers, place = {}, {}, 1
while place <= #ARGV do
  local c = commit_at(place, #commits + 1)
  commits[#commits + 1] = c
  place = c.first + 2 * c.count
end
-- The answers to commits that are not carried out; an error here is one of the whole call, of which nothing is written.
for i, c in ipairs(commits) do
  answers[i] = refusal(c) or false
  if not answers[i] then look_ahead(c) end
end
-- An error that one of several commits meets among its writes, such as a head that does not fit its history, is its answer.
-- Each function of a script is made anew with each call, so what is done in one place only is none.
local before, written, all = n, 0, {}
for i, c in ipairs(commits) do
  if not answers[i] then
    local at, fine, answer = n, true, nil
    if #commits == 1 then answer = write(c) else fine, answer = pcall(write, c) end
    if fine then
      written = 1
      for key, members in pairs(changes) do
        local kept = all[key]
        if not kept then all[key] = members else for member, score in pairs(members) do kept[member] = score end end
      end
    else
      if not c.logged then n = at end -- as if it had not been there: whoever comes next has its positions
      answer = { err = type(answer) == 'table' and answer.err or tostring(answer) }
    end
    answers[i], changes = answer, {}
  end
end
changes = all
write_changes()
return { written, 0, n, NOW, answers, n > before and 1 or 0, epoch }

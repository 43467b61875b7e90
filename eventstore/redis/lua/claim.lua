-- claim: take up to k ready steps of one queue; each claim is a commit of its own. Keyspace: runs_common.lua.
-- KEYS 1 meta 2 log 3 due 4 ready:<queue> 5 claim:<id> 6 has:<hash of the worker's components>
-- ARGV 1 k 2 worker 3 lease ms 4 longest history that is sent whole
--   5 ids of the master keys that the worker has; a step of a run whose key none of them wraps waits a second instead
--   6 1 when of a longer one the event that scheduled the step is wanted
--   7 seconds for which the store remembers what is told 8.. what this worker can run, as far as it tells it now: component,
--     0, or 1 with the build behind it..
-- Whoever works takes what it has the component for. A step that it cannot run is set aside at once, so that nobody who
-- cannot run it looks at it twice; of a component as this document names it (with a range, say) the worker is asked once.
-- Steps with a fairness key are taken by deficit round robin among their keys (Shreedhar and Varghese 1995; a step costs 1):
-- the first key of the round gets as many steps as its weight, and goes to its end. All other steps of the queue are of one
-- more key, of weight 1. Where no step has a key, nothing of this is touched.
-- Asked again with its id, a claim gives what it gave: whoever lost the reply has begun nothing of it.
-- Replies {left for this worker, ms, {component to tell of..}, set aside now, {run, step, fence, attempt, deadline, version, commit, scheduled version,
--   the last commit of the run before it ("" when this was asked before, and more may have followed), events}..}
local k, worker, lease_ms, whole = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local out, sent = {}, {}
local n = tonumber(redis.call('HGET', KEYS[1], 'n') or '0')
local function readable(run)
  local record = redis.call('GET', B .. 'key:' .. run)
  return not record or string.find(ARGV[5], string.match(record, '^%w+%.(%x+)%.') or '?', 1, true)
end
-- What is looked at once for each run, however many of its steps are ready, and what its claims make of it: v and lc, set
-- (fields of its head to be written), first (the first version of its next log entry).
local runs = {}
local function run_of(id)
  local known = runs[id]
  if not known then
    local h = redis.call('HMGET', B .. 'head:' .. id, 'st', 'v', 'lc', 'f')
    known = { id = id, st = h[1], v = tonumber(h[2]), lc = h[3], fence = h[4], set = {} }
    -- A head that does not fit its history would refuse the event below, after writes: such a run waits until
    -- `openagents doctor --repair` has mended it.
    known.fit = OPEN[h[1]] and redis.call('XLEN', B .. 'run:' .. id) == known.v and readable(id)
    runs[id] = known
  end
  return known
end
local QUEUE, READY = string.sub(KEYS[4], #B + 7), KEYS[4]
local ASIDE = B .. 'aside:' .. QUEUE
local told, unknown = {}, {}
local abilities = {}
for i = 8, #ARGV, 2 do -- in the claim itself: told in a call before it, it could be refused and the claim be carried out
  told[ARGV[i]] = ARGV[i + 1]
  abilities[i - 7], abilities[i - 6] = ARGV[i], ARGV[i + 1]
  if ARGV[i + 1] == '0' then look(READY .. '|' .. ARGV[i]) end
end
-- Tell whether the worker can run a component: '1', '0', or '' where it has to be asked. Behind the 1 stands the build.
local function able(component)
  if not component then return '1' end -- steps of older versions do not say
  if not told[component] then
    told[component] = redis.call('HGET', KEYS[6], component) or ''
    if told[component] == '' then unknown[#unknown + 1] = component end
    if told[component] == '0' then look(READY .. '|' .. component) end
  end
  return string.sub(told[component], 1, 1)
end
local function build_of(component) return component and string.sub(told[component], 2) or '' end
-- Tell what is to be done with a ready step. One that stands in the queue and is set aside as well is taken once.
local taken = {}
local function judge(key, set, score, of_key)
  local cut = string.find(key, '|', 1, true)
  local id, step = string.sub(key, 1, cut - 1), string.sub(key, cut + 1)
  local run, h = run_of(id), nil
  if of_key then
    h = redis.call('HMGET', B .. 'head:' .. id, 's:' .. step, 'c:' .. step, 'k:' .. step)
  else
    h = redis.call('HMGET', B .. 'head:' .. id, 's:' .. step, 'c:' .. step)
  end
  local f = { key = key, set = set, score = score, run = run, step = step, component = h[2], what = 'drop', of_key = of_key,
    share = h[3] }
  f.record = OPEN[run.st] and h[1] and parse(h[1])
  if f.record and f.record.fence == '' and not taken[key] then
    local can = able(h[2])
    if can == '1' then
      f.what = run.fit and 'take' or 'wait'
    else
      f.what = can == '0' and 'aside' or 'leave'
    end
  end
  taken[key] = f.what == 'take' or taken[key]
  return f
end
-- Claims of a run that follow on each other share a log entry, which names them all by the last one.
local entry
local function close_entry()
  if entry then
    redis.call('XADD', KEYS[2], n .. '-' .. NOW, 'r', entry.run.id, 'f', entry.first, 'l', entry.run.v)
  end
  entry = nil
end
local function take(f)
  local run, r, before = f.run, f.record, f.run.lc
  -- One more than all fences of the run, not of the step: so a late outcome of any of its attempts is told by it.
  local fence = next_fence(run.fence)
  lease(r, fence, worker, lease_ms)
  unq(r, f.key)
  if not entry or entry.run ~= run then
    close_entry()
    entry = { run = run, first = run.v + 1 }
  end
  run.v, run.lc, run.fence, n = run.v + 1, 'k' .. r.fence, r.fence, n + 1
  redis.call('XADD', B .. 'run:' .. run.id, run.v .. '-0', 't', 'StepStarted', 'd', started(f.step, r, build_of(f.component)),
    'm', NOW,
    'n', n, 'c', run.lc, 'a', worker, 'y', '')
  local set = run.set
  set[#set + 1], set[#set + 2] = 's:' .. f.step, pack(r)
  due_add(r.expiry, 'l|' .. f.key)
  out[#out + 1] = { run.id, f.step, r.fence, tonumber(r.attempt), r.deadline, run.v, run.lc, tonumber(r.sv), before }
end
-- Events first, then the log that names them, then what is derived from both: as in commit.lua.
local function write_heads()
  close_entry()
  local wrote = false
  for id, run in pairs(runs) do
    if #run.set > 0 then
      wrote = true
      local set = { 'v', run.v, 'lc', run.lc, 'f', run.fence }
      for _, x in ipairs(run.set) do set[#set + 1] = x end
      in_parts('HSET', B .. 'head:' .. id, set)
    end
  end
  if wrote then redis.call('HSET', KEYS[1], 'n', n) end
end

-- 1. What is there: all that is touched below, and is not among KEYS, is read before the first write. A claim that was
-- answered before is answered alike, and takes nothing more: its reply was lost, and its leases are with this worker.
local given = redis.call('GET', KEYS[5])
local claims, found, takers, left = given and cjson.decode(given) or {}, {}, 0, 0
local records = {}
for i, c in ipairs(claims) do
  records[i] = redis.call('HGET', B .. 'head:' .. c[1], 's:' .. c[2])
  look(B .. 'run:' .. c[1])
end
-- Beside the queue itself, the sets that others have set aside and this worker can run; a few at a time, as there may be
-- many. Those that are empty by now are forgotten.
local sets, empty, looked_at = { READY }, {}, { [READY] = true }
for _, component in ipairs(redis.call('SRANDMEMBER', ASIDE, 32)) do
  local set = READY .. '|' .. component
  if able(component) == '1' then
    if redis.call('EXISTS', set) == 1 then
      sets[#sets + 1], looked_at[set] = set, true
    else
      empty[#empty + 1] = component
    end
  end
end
local function page(from, size)
  local steps = {}
  for _, set in ipairs(sets) do
    local some = redis.call('ZRANGE', set, from, from + size - 1, 'WITHSCORES')
    for i = 1, #some, 2 do steps[#steps + 1] = { some[i], set, some[i + 1] } end
  end
  if #sets > 1 then table.sort(steps, function(one, other) return tonumber(one[3]) < tonumber(other[3]) end) end
  return steps
end
local size = 2 * k + 9
-- The steps without a key, one by one: on, where all that stood in front is for others; to an end, as they may be many.
local front = { from = 0, at = 0, takers = 0, others = 0 }
local function next_unkeyed()
  front.steps = front.steps or page(0, size)
  while front.at >= #front.steps do
    if front.takers > 0 or front.others == 0 or front.from + size > 19 * size then return end
    front.from, front.at, front.others = front.from + size, 0, 0
    front.steps = page(front.from, size)
  end
  front.at = front.at + 1
  local s = front.steps[front.at]
  local f = judge(s[1], s[2], s[3])
  if f.what == 'take' then front.takers = front.takers + 1 end
  if f.what == 'aside' then front.others = front.others + 1 end
  return f
end
local KEYED, RING, TURN = B .. 'fair:' .. QUEUE, B .. 'ring:' .. QUEUE, B .. 'turn:' .. QUEUE
local FEW = 8
-- Take steps in the turns of their keys, and return what writes the round. All of this stands in a function, as a script makes
-- its functions anew with each call, and most claims need none of these.
local function take_in_turn(first_keys)
  -- The steps of a key, one by one, a few read at a time.
  local lines = {}
  local function next_of(key)
    if key == '' then return next_unkeyed() end
    local set = KEYED .. '|' .. key
    local line = lines[key] or { from = 0, at = 0, steps = redis.call('ZRANGE', set, 0, FEW - 1, 'WITHSCORES') }
    lines[key] = line
    if line.at >= #line.steps and #line.steps == 2 * FEW then
      line.from, line.at = line.from + FEW, 0
      line.steps = redis.call('ZRANGE', set, line.from, line.from + FEW - 1, 'WITHSCORES')
    end
    line.at = line.at + 2
    return line.steps[line.at - 1] and judge(line.steps[line.at - 1], set, line.steps[line.at], key)
  end
  -- The round: keys as they stand in the ring, read a few at a time, and behind them those that have had their turn here.
  local ring = { from = 0, at = 0, keys = first_keys, behind = {}, again = 1, spent = {} }
  local function first_key()
    if ring.at >= #ring.keys and #ring.keys > 0 then
      ring.from, ring.at = ring.from + #ring.keys, 0
      ring.keys = redis.call('ZRANGE', RING, ring.from, ring.from + FEW - 1)
    end
    if ring.at < #ring.keys then return ring.keys[ring.at + 1] end
    return ring.behind[ring.again]
  end
  local function leave_front()
    if ring.at < #ring.keys then ring.at = ring.at + 1 else ring.again = ring.again + 1 end
  end
  local function weight_of(f, key)
    local weight = redis.call('HGET', B .. 'weights', key) or f.share and string.match(f.share, '^%d+')
    return math.max(1, tonumber(weight or '1') or 1)
  end
  local looks, turn = 20 * size, {}
  local function take_turn(key)
    local may = turn.key == key and turn.left or nil
    turn = {}
    while takers < k and looks > 0 do
      local f = next_of(key)
      looks = looks - 1
      if not f then -- a key that has nothing more for this worker is not asked again here
        leave_front()
        ring.spent[#ring.spent + 1] = key
        ring.unkeyed_spent = ring.unkeyed_spent or key == ''
        return
      end
      found[#found + 1] = f
      may = may or weight_of(f, key)
      if f.what == 'take' then takers, may = takers + 1, may - 1 end
      if may == 0 then
        leave_front()
        ring.behind[#ring.behind + 1] = key
        return
      end
    end
    turn = { key = key, left = may }
  end
  look(TURN)
  local left_of, key = string.match(redis.call('GET', TURN) or '', '^(%d+)|(.*)$')
  turn = { key = key, left = tonumber(left_of) }
  ring.unkeyed, ring.count = redis.call('ZSCORE', RING, ''), redis.call('ZCARD', RING)
  for _, set in ipairs(sets) do
    if not ring.unkeyed and redis.call('EXISTS', set) == 1 then
      ring.behind[1], ring.unkeyed, ring.count = '', true, ring.count + 1
    end
  end
  while takers < k and looks > 0 and first_key() do take_turn(first_key()) end
  -- Who has had a turn goes to the end of the round, before keys that have no steps left leave it.
  local function write_round()
    local last, places = last_of(RING), {}
    local function to_the_end(key)
      last = last + 1
      places[#places + 1], places[#places + 2] = last, key
    end
    for i = ring.again, #ring.behind do to_the_end(ring.behind[i]) end
    for _, key in ipairs(ring.spent) do
      if key ~= '' then to_the_end(key) end
    end
    in_parts('ZADD', RING, places)
  end
  -- All leave at once, as a set that is emptied is not to be named again: what is left of the ring is counted.
  local function end_round(leave)
    local keys = leave[RING] or {}
    for _, key in ipairs(keys) do
      if turn.key == key then turn = {} end
    end
    local alone = ring.count - #keys == 1
    if ring.unkeyed and (ring.unkeyed_spent or alone) then keys[#keys + 1] = '' end
    leave[RING] = keys
    if turn.left and ring.count > #keys then
      redis.call('SET', TURN, int(turn.left) .. '|' .. turn.key)
    else
      redis.call('DEL', TURN)
    end
  end
  return write_round, end_round
end
local first_keys = given and {} or redis.call('ZRANGE', RING, 0, FEW - 1)
local write_round, end_round
if #first_keys > 0 then
  write_round, end_round = take_in_turn(first_keys)
else
  while not given and takers < k do
    local f = next_unkeyed()
    if not f then break end
    found[#found + 1] = f
    if f.what == 'take' then takers = takers + 1 end
  end
end
for _, set in ipairs(sets) do left = left + redis.call('ZCARD', set) end
if given or end_round then left = left + redis.call('ZCARD', KEYED) end

-- 2. Writes.
-- Once is enough: a drain that does not know in which partition it will be tells it whenever it sleeps. What is missing
-- of it for whatever reason is asked for by a claim that needs it.
if 2 * redis.call('HLEN', KEYS[6]) < #abilities then
  in_parts('HSET', KEYS[6], abilities)
  redis.call('EXPIRE', KEYS[6], ARGV[7])
end
for i, c in ipairs(claims) do
  local r = records[i] and parse(records[i])
  if r and r.fence == c[3] then -- else its lease has run out meanwhile
    extend(r, c[1] .. '|' .. c[2], lease_ms)
    redis.call('HSET', B .. 'head:' .. c[1], 's:' .. c[2], pack(r))
    c[9] = ''
    out[#out + 1] = c
  end
end
local aside = {}
-- What is taken leaves the queue and what was set aside of it; where only one of them was looked at, a later claim finds
-- the step held, and drops it.
local function leave_sets(f)
  if f.of_key then return change_fair(QUEUE, '|' .. f.of_key, f.key, false) end
  change(f.set, f.key, false)
  local other = f.component and READY .. '|' .. f.component
  if f.what ~= 'take' or not looked_at[other] then return end
  change(READY, f.key, false)
  change(other, f.key, false)
end
for _, f in ipairs(found) do
  if f.what ~= 'leave' then
    left = left - 1
    leave_sets(f)
  end
  if f.what == 'wait' then due_add(NOW + 1000, 'r|' .. f.key) end
  if f.what == 'take' then take(f) end
  if f.what == 'aside' then
    change(READY .. '|' .. f.component, f.key, f.score)
    aside[#aside + 1] = f.component
  end
end
write_heads()
in_parts('SADD', ASIDE, aside)
write_changes(write_round, end_round)
if #empty > 0 then redis.call('SREM', ASIDE, unpack(empty)) end
-- The note of what was taken is the last write: with it and without the leases, a worker would begin what it does not hold.
if not given and #out > 0 then redis.call('SET', KEYS[5], cjson.encode(out), 'PX', int(lease_ms)) end
for _, c in ipairs(out) do -- histories last, so that each holds every claim of this call
  local STREAM, id = B .. 'run:' .. c[1], c[1]
  if sent[id] == nil then sent[id] = redis.call('XLEN', STREAM) <= whole and 'whole' or 'long' end
  c[10] = {}
  if sent[id] == 'whole' then
    c[10] = redis.call('XRANGE', STREAM, '-', '+')
    sent[id] = 'sent'
  elseif sent[id] == 'long' and ARGV[6] == '1' then
    c[10] = redis.call('XRANGE', STREAM, c[8] .. '-0', c[8] .. '-0')
  end
end
for _, part in ipairs({ #aside, unknown, NOW, left }) do table.insert(out, 1, part) end
return out

#!lua flags=allow-oom
-- Shared by the scripts of the run store; put before each of them.
--
-- Keyspace, all with one hash tag, so in one slot. B is the common part, "<prefix>:{<p>}:".
--   B meta          hash    n: events of the partition so far
--   B log           stream  one entry a commit, id <n>-<ms>: r run, f first version, l last version; claims of a
--                           run that one call takes one after the other share one
--   B run:<run>     stream  the truth, id <version>-0: t d m n c a y
--   B head:<run>    hash    v version, lc last commit id, st status, can cancel asked, hold 1 while held, def definition, wf workflow,
--                           adopting 1 until a run that comes from elsewhere is there with all of its history,
--                           f last fence, s:<step> record of an open step, c:<step> the component that it calls,
--                           k:<step> <weight>|<key> where the step has a fairness key: its share of its queue
--   B key:<run>     string  the wrapped data key of an encrypted run: <format>.<master key id>.<base64>
--   B end:<run>     stream  somebody waits for the end of the run; gets an entry with it (await.lua); expires
--   B claim:<id>    string  what a claim took, as it was answered; expires with the leases
--   B ready:<queue> zset    <run>|<step>, score = ms - 60000 * priority: what may be claimed now
--   B ready:<queue>|<component> zset  the same, of steps that somebody met who cannot run them: only who can looks there
--   B aside:<queue> set     the components of which there are such
--   B fair:<queue>  zset    the steps with a fairness key that may be claimed now, scored as in ready: for who counts them
--   B fair:<queue>|<key> zset  the same, of one key: claims take them from here
--   B ring:<queue>  zset    the keys of which there are such, by their places in the round; "" stands for the ready sets
--   B weights       hash    key -> its weight, where that was said from outside, whatever its steps say
--   B turn:<queue>  string  <how many>|<key>: so many steps the first key of the round may still have before it goes to the end
--   B has:<hash>    hash    component as documents name it -> 0, or 1 and the build behind it: whether workers with these
--                           components can run it; expires
--   B due           zset    ms: l|run|step lease, r|run|step retry, q|run|step schedule-to-start, T|run|step total,
--                           R|run run limit, k|run cancel grace, w|run a decision is missing,
--                           t|run|step|n timer, n|run|step only a signal wakes it, c|run|step child run to look after, x|run|child to cancel,
--                           g|run[|step] gates to pass, u|run[|step] locks to give back, p|run parent to tell
-- A step's record: queue|priority|attempt|scheduled version|start-to-close ms|flags|fence|worker|expiry ms|deadline ms
-- flags: q and T tell that such a member is in due. An empty fence means: nobody holds the step. A worker with '?' before
-- its name has claimed the step and will say so (beat.lua) before it begins one that may not be started twice: until then,
-- such a step has not begun. Scripts of older versions write the name alone, and may have begun.
local B = string.sub(KEYS[1], 1, -5)
local T = redis.call('TIME')
local NOW = T[1] * 1000 + math.floor(T[2] / 1000)
local US = T[1] * 1000000 + T[2]
-- Arguments of commands may be numbers: the server writes whole ones out in full. Joined to a text, a number keeps 14
-- digits only: enough for versions, positions and ms, and too few for fences and for times far away, which go through `int`.
local function int(x) return string.format('%.0f', x) end
-- An error in the middle of a script undoes nothing. While a slot of a cluster is moved key by key, the first call that
-- names a key which is not here (any more) is one: so each key that is not among KEYS is looked at before the first write.
local function look(...) redis.call('EXISTS', ...) end
local function look_at_queues(queues)
  for queue in pairs(queues) do look(B .. 'ready:' .. queue, B .. 'fair:' .. queue, B .. 'ring:' .. queue) end
end
-- A share is what the head says of a step with a fairness key: <weight>|<key>.
local function key_of(share) return string.sub(share, string.find(share, '|', 1, true) + 1) end
local function look_at_share(queue, share)
  if share then look(B .. 'fair:' .. queue .. '|' .. key_of(share)) end
end
local OPEN = { running = true, failing = true, cancelling = true } -- steps may be claimed
local RECORD = '^([^|]*)|([^|]*)|(%d+)|(%d+)|(%d+)|([^|]*)|([^|]*)|([^|]*)|(%d+)|(%d+)$'
local function parse(s)
  local r = {}
  r.queue, r.prio, r.attempt, r.sv, r.stc, r.flags, r.fence, r.worker, r.expiry, r.deadline = string.match(s, RECORD)
  return r
end
local function pack(r)
  return table.concat({ r.queue, r.prio, r.attempt, r.sv, r.stc, r.flags, r.fence, r.worker, r.expiry, r.deadline }, '|')
end
-- What goes into ready and due and what leaves them is written at the end, what comes in first: a set that is emptied
-- is gone, and naming it again would be an error as above.
local changes = {}
local function change(key, member, score)
  changes[key] = changes[key] or {}
  changes[key][member] = score
end
-- Whose steps may be claimed by their keys: the sets of keys by name, each with its ring and its key; and the sets that count
-- them. What is counted can be claimed also where a server reads half of a script back, so counts come last and go first.
local key_sets, of_keys, counts = {}, {}, {}
local function change_fair(queue, share, member, score)
  local key = key_of(share)
  local all, set = B .. 'fair:' .. queue, B .. 'fair:' .. queue .. '|' .. key
  if not of_keys[set] then key_sets[#key_sets + 1] = set end
  of_keys[set], counts[all] = { B .. 'ring:' .. queue, key }, true
  change(set, member, score)
  change(all, member, score)
end
local function ready_add(queue, prio, member, share)
  local score = NOW - 60000 * tonumber(prio)
  if share then change_fair(queue, share, member, score) else change(B .. 'ready:' .. queue, member, score) end
end
-- A step that waits for a worker is in one of two sets; where its component is not known, it can be in the first one only.
local function ready_drop(queue, member, component, share)
  change(B .. 'ready:' .. queue, member, false)
  if component then change(B .. 'ready:' .. queue .. '|' .. component, member, false) end
  if share then change_fair(queue, share, member, false) end
end
local function due_add(at, member) change(B .. 'due', member, at) end
local function due_drop(member) change(B .. 'due', member, false) end
local function due_has(member)
  local score = changes[B .. 'due'] and changes[B .. 'due'][member]
  if score == nil then score = redis.call('ZSCORE', B .. 'due', member) end
  return score
end
local function in_parts(command, key, args)
  for i = 1, #args, 500 do redis.call(command, key, unpack(args, i, math.min(i + 499, #args))) end
end
local function fields_of(key, names)
  if #names <= 500 then return redis.call('HMGET', key, unpack(names)) end
  local out = {}
  for i = 1, #names, 500 do
    for _, value in ipairs(redis.call('HMGET', key, unpack(names, i, math.min(i + 499, #names)))) do out[#out + 1] = value end
  end
  return out
end
local function put_members(key, members)
  local put = {}
  for member, score in pairs(members) do
    if score then
      put[#put + 1] = score
      put[#put + 1] = member
    end
  end
  in_parts('ZADD', key, put)
  return #put > 0
end
local function remove_members(key, members)
  local gone, count = {}, 0
  for member, score in pairs(members) do
    if not score then gone[#gone + 1] = member end
  end
  for i = 1, #gone, 500 do count = count + redis.call('ZREM', key, unpack(gone, i, math.min(i + 499, #gone))) end
  return count
end
-- A key that has steps again joins the round at its end, and one that has none leaves it.
local function last_of(ring)
  local last = redis.call('ZRANGE', ring, -1, -1, 'WITHSCORES')
  return tonumber(last[2] or '0')
end
local function join_ring(ring, key)
  if not redis.call('ZSCORE', ring, key) then redis.call('ZADD', ring, last_of(ring) + 1, key) end
end
-- `between` is done before something leaves the sets, `closing` is told which keys leave their rings, before they do.
local function write_changes(between, closing)
  local put = {}
  for key, members in pairs(changes) do
    if not counts[key] then put[key] = put_members(key, members) end
  end
  for _, set in ipairs(key_sets) do -- in the order in which they were named
    if put[set] then join_ring(unpack(of_keys[set])) end
  end
  for key in pairs(counts) do put_members(key, changes[key] or {}) end
  if between then between() end
  for key in pairs(counts) do remove_members(key, changes[key] or {}) end
  local leave = {}
  for key, members in pairs(changes) do
    -- Asked before: a set that is emptied is not named again.
    local there = of_keys[key] and redis.call('ZCARD', key)
    local removed = not counts[key] and remove_members(key, members) or 0
    if there and removed > 0 and removed == there then
      local ring, name = unpack(of_keys[key])
      leave[ring] = leave[ring] or {}
      table.insert(leave[ring], name)
    end
  end
  if closing then closing(leave) end
  for ring, keys in pairs(leave) do in_parts('ZREM', ring, keys) end
end
-- A fence is a time, never a counter: after a lost tail a counter would be given out twice.
local function next_fence(last)
  local us, f = US, tonumber(last or '0') or 0
  if us <= f then us = f + 1 end
  return us
end
local function unbegun(r) return string.sub(r.worker, 1, 1) == '?' end
-- Extend a lease, though never over the end of its attempt.
local function extend(r, key, lease_ms)
  local expiry = NOW + lease_ms
  if tonumber(r.deadline) > 0 and tonumber(r.deadline) < expiry then expiry = tonumber(r.deadline) end
  r.expiry = int(expiry)
  due_add(expiry, 'l|' .. key)
end
local function lease(r, fence, worker, lease_ms)
  r.attempt = tonumber(r.attempt) + 1
  r.fence, r.worker = int(fence), '?' .. worker
  local expiry = NOW + lease_ms
  r.deadline = '0'
  if tonumber(r.stc) > 0 then
    r.deadline = int(NOW + tonumber(r.stc))
    if NOW + tonumber(r.stc) < expiry then expiry = NOW + tonumber(r.stc) end
  end
  r.expiry = int(expiry)
end
local function started(step, r, build) -- of a record that has just been leased
  local begin = '{"attempt":' .. r.attempt
  if build and build ~= '' then begin = begin .. ',"build":' .. cjson.encode(build) end
  return begin .. ',"fence":"' .. r.fence .. '","step":' .. cjson.encode(step) ..
    ',"worker":' .. cjson.encode(string.sub(r.worker, 2)) .. '}'
end
local function unq(r, key)
  if string.find(r.flags, 'q', 1, true) then
    due_drop('q|' .. key)
    r.flags = string.gsub(r.flags, 'q', '')
  end
end

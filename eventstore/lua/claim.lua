-- claim: take up to k ready steps of one queue; each claim is a commit of its own. Keyspace: runs_common.lua.
-- KEYS 1 meta 2 log 3 due 4 ready:<queue> 5 claim:<id>
-- ARGV 1 k 2 worker 3 lease ms 4 longest history that is sent whole
--   5 ids of the master keys that the worker has; a step of a run whose key none of them wraps waits a second instead
-- Asked again with its id, a claim gives what it gave: whoever lost the reply has begun nothing of it.
-- Replies {left in ready, ms, {run, step, fence, attempt, deadline, version, commit, scheduled version, events}..}
local k, worker, lease_ms, whole = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local out, sent = {}, {}
local n = tonumber(redis.call('HGET', KEYS[1], 'n') or '0')
local function readable(run)
  local record = redis.call('GET', B .. 'key:' .. run)
  return not record or string.find(ARGV[5], string.match(record, '^%w+%.(%x+)%.') or '?', 1, true)
end
-- Tell what is to be done with a ready step. A head that does not fit its history would refuse the event below, after
-- writes: such a run waits until `openagents doctor --repair` has mended it.
local function judge(key)
  local cut = string.find(key, '|', 1, true)
  local run, step = string.sub(key, 1, cut - 1), string.sub(key, cut + 1)
  local h = redis.call('HMGET', B .. 'head:' .. run, 'st', 's:' .. step, 'v')
  local f = { key = key, run = run, step = step, what = 'drop' }
  if OPEN[h[1]] and h[2] and parse(h[2]).fence == '' then
    local sound = redis.call('XLEN', B .. 'run:' .. run) == tonumber(h[3])
    f.what = readable(run) and sound and 'take' or 'wait'
  end
  return f
end
local function take(f)
  local HEAD, STREAM = B .. 'head:' .. f.run, B .. 'run:' .. f.run
  local h = redis.call('HMGET', HEAD, 'v', 'f', 's:' .. f.step) -- another step of this run may just have been taken
  local r = parse(h[3])
  local fence = next_fence(h[2])
  lease(r, fence, worker, lease_ms)
  unq(r, f.key)
  local v = tonumber(h[1]) + 1
  n = n + 1
  local cid = 'k' .. r.fence
  redis.call('XADD', STREAM, int(v) .. '-0', 't', 'StepStarted', 'd', started(f.step, r), 'm', int(NOW), 'n', int(n),
    'c', cid, 'a', worker, 'y', '')
  redis.call('XADD', KEYS[2], int(n) .. '-' .. int(NOW), 'r', f.run, 'f', int(v), 'l', int(v))
  redis.call('HSET', KEYS[1], 'n', int(n))
  redis.call('HSET', HEAD, 'v', int(v), 'lc', cid, 'f', r.fence, 's:' .. f.step, pack(r))
  due_add(r.expiry, 'l|' .. f.key)
  out[#out + 1] = { f.run, f.step, r.fence, tonumber(r.attempt), r.deadline, v, cid, tonumber(r.sv) }
end

-- 1. What is there: all that is touched below, and is not among KEYS, is read before the first write.
local given = redis.call('GET', KEYS[5])
local claims, found, takers = given and cjson.decode(given) or {}, {}, 0
local records = {}
for i, c in ipairs(claims) do
  records[i] = redis.call('HGET', B .. 'head:' .. c[1], 's:' .. c[2])
  look(B .. 'run:' .. c[1])
end
if not given then
  for _, key in ipairs(redis.call('ZRANGE', KEYS[4], 0, 2 * k + 8)) do
    if takers >= k then break end
    found[#found + 1] = judge(key)
    if found[#found].what == 'take' then takers = takers + 1 end
  end
end

local left = redis.call('ZCARD', KEYS[4]) - #found

-- 2. Writes.
for i, c in ipairs(claims) do
  local r = records[i] and parse(records[i])
  if r and r.fence == c[3] then -- else its lease has run out meanwhile
    extend(r, c[1] .. '|' .. c[2], lease_ms)
    redis.call('HSET', B .. 'head:' .. c[1], 's:' .. c[2], pack(r))
    out[#out + 1] = c
  end
end
for _, f in ipairs(found) do
  change(KEYS[4], f.key, false)
  if f.what == 'wait' then due_add(NOW + 1000, 'r|' .. f.key) end
  if f.what == 'take' then take(f) end
end
write_changes()
if not given and #out > 0 then redis.call('SET', KEYS[5], cjson.encode(out), 'PX', int(lease_ms)) end
for _, c in ipairs(out) do -- histories last, so that each holds every claim of this call
  local STREAM = B .. 'run:' .. c[1]
  if not sent[c[1]] and redis.call('XLEN', STREAM) <= whole then
    sent[c[1]] = true
    c[9] = redis.call('XRANGE', STREAM, '-', '+')
  elseif not sent[c[1]] then
    c[9] = redis.call('XRANGE', STREAM, int(c[8]) .. '-0', int(c[8]) .. '-0')
  else
    c[9] = {}
  end
end
table.insert(out, 1, NOW)
table.insert(out, 1, left)
return out

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
local function take(key)
  local cut = string.find(key, '|', 1, true)
  local run, step = string.sub(key, 1, cut - 1), string.sub(key, cut + 1)
  local HEAD, STREAM = B .. 'head:' .. run, B .. 'run:' .. run
  local h = redis.call('HMGET', HEAD, 'st', 'v', 'f', 's:' .. step)
  redis.call('ZREM', KEYS[4], key)
  local r = OPEN[h[1]] and h[4] and parse(h[4])
  if not r or r.fence ~= '' then return end
  if not readable(run) then
    due_add(NOW + 1000, 'r|' .. key)
    return
  end
  local fence = next_fence(h[3])
  lease(r, fence, worker, lease_ms)
  unq(r, key)
  local v = tonumber(h[2]) + 1
  n = n + 1
  local cid = 'k' .. r.fence
  redis.call('XADD', STREAM, int(v) .. '-0', 't', 'StepStarted', 'd', started(step, r), 'm', int(NOW), 'n', int(n),
    'c', cid, 'a', worker, 'y', '')
  redis.call('XADD', KEYS[2], int(n) .. '-' .. int(NOW), 'r', run, 'f', int(v), 'l', int(v))
  redis.call('HSET', KEYS[1], 'n', int(n))
  redis.call('HSET', HEAD, 'v', int(v), 'lc', cid, 'f', r.fence, 's:' .. step, pack(r))
  due_add(r.expiry, 'l|' .. key)
  out[#out + 1] = { run, step, r.fence, tonumber(r.attempt), r.deadline, v, cid, tonumber(r.sv) }
end
local function give_again(claims)
  for _, c in ipairs(claims) do
    local HEAD = B .. 'head:' .. c[1]
    local s = redis.call('HGET', HEAD, 's:' .. c[2])
    local r = s and parse(s)
    if r and r.fence == c[3] then -- else its lease has run out meanwhile
      extend(r, c[1] .. '|' .. c[2], lease_ms)
      redis.call('HSET', HEAD, 's:' .. c[2], pack(r))
      out[#out + 1] = c
    end
  end
end

local given = redis.call('GET', KEYS[5])
if given then
  give_again(cjson.decode(given))
else
  for _, key in ipairs(redis.call('ZRANGE', KEYS[4], 0, 2 * k + 8)) do
    if #out >= k then break end
    take(key)
  end
  if #out > 0 then redis.call('SET', KEYS[5], cjson.encode(out), 'PX', int(lease_ms)) end
end
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
table.insert(out, 1, redis.call('ZCARD', KEYS[4]))
return out

#!lua
-- append: one atomic append to a stream. Keyspace: eventstore/keys.py.
-- KEYS 1 meta 2 log 3 run:<stream> 4 head:<stream> 5 checkpoints
-- ARGV 1 expected (any | none | exists | <version>) 2 commit id 3 actor 4 cause 5 stream
--   6 consumer 7 checkpoint n (0: no checkpoint) 8 how many events back a commit id is looked for
--   9.. triples: type, data, metadata ('' for none)
-- Replies {1, first version, last version, n, ms, 1, epoch} done; {2, first, last, n} done before; {-1, version} another version;
--   {-5, checkpoint} not rising
local T = redis.call('TIME')
local NOW = T[1] * 1000 + math.floor(T[2] / 1000)
local function int(x) return string.format('%.0f', x) end
local EXPECTED, CID, ACTOR, CAUSE, STREAM = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local CONSUMER, CHECKPOINT, WINDOW = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local v = tonumber(redis.call('HGET', KEYS[4], 'v') or '0')
local function field(entry, name)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == name then return entry[2][i + 1] end
  end
end
-- A commit that was applied: its events stand together, so the range is found by walking back from the newest.
local function applied()
  local last, first, n
  local top, seen = '+', 0
  while seen < WINDOW do
    local es = redis.call('XREVRANGE', KEYS[3], top, '-', 'COUNT', 200)
    if #es == 0 then break end
    for _, e in ipairs(es) do
      local version = tonumber(string.match(e[1], '^(%d+)-'))
      if field(e, 'c') == CID then
        if not last then last, n = version, tonumber(field(e, 'n')) end
        first = version
      elseif last then
        return first, last, n
      end
    end
    seen = seen + #es
    top = '(' .. es[#es][1]
  end
  return first, last, n
end

-- 1. Guards; nothing is written before all have passed. First whether it was done before: a writer that lost the reply
-- comes with the version that it expected then, which its own events have left behind.
if CID ~= '' and v > 0 then
  local first, last, n = applied()
  if first then return { 2, first, last, n } end
end
local fits = EXPECTED == 'any' or (EXPECTED == 'none' and v == 0) or (EXPECTED == 'exists' and v > 0) or tonumber(EXPECTED) == v
if not fits then return { -1, v } end
if CHECKPOINT > 0 then
  local current = tonumber(redis.call('HGET', KEYS[5], CONSUMER) or '0')
  if CHECKPOINT <= current then return { -5, current } end
end

-- 2. Events; the explicit id is the second lock: were the head behind its stream, this first write would fail, and
-- nothing would have been written.
local first = v + 1
local meta = redis.call('HMGET', KEYS[1], 'n', 'e')
local n, epoch = tonumber(meta[1] or '0'), tonumber(meta[2] or '0')
for i = 9, #ARGV, 3 do
  v = v + 1
  n = n + 1
  local id = int(v) .. '-0'
  if ARGV[i + 2] == '' then
    redis.call('XADD', KEYS[3], id, 't', ARGV[i], 'd', ARGV[i + 1], 'm', int(NOW), 'n', int(n), 'c', CID, 'a', ACTOR, 'y', CAUSE)
  else
    redis.call('XADD', KEYS[3], id, 't', ARGV[i], 'd', ARGV[i + 1], 'm', int(NOW), 'n', int(n), 'c', CID, 'a', ACTOR, 'y', CAUSE, 'x', ARGV[i + 2])
  end
end

-- 3. One log entry, the counter, the head, the checkpoint. Events first: what is cut off between two of these writes (a
-- server that dies, half a transaction read back) leaves events that no log entry names, which were acknowledged to
-- nobody and can be removed; a log entry without its events could not be mended. The checkpoint is last: a consumer that
-- has moved on without its events would never write them.
redis.call('XADD', KEYS[2], int(n) .. '-' .. int(NOW), 'r', STREAM, 'f', int(first), 'l', int(v))
redis.call('HSET', KEYS[1], 'n', int(n))
redis.call('HSET', KEYS[4], 'v', int(v), 'lc', CID)
if CHECKPOINT > 0 then redis.call('HSET', KEYS[5], CONSUMER, int(CHECKPOINT)) end
return { 1, first, v, n, NOW, 1, epoch }

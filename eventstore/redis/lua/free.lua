-- free: a closed run leaves the store, and one event says where it went, in one atomic step. Keyspace: runs_common.lua.
-- KEYS 1 meta 2 log 3 run:<run> 4 head:<run> 5 due 6 checkpoints 7 run:<p>-archive 8 head:<p>-archive
-- ARGV 1 options (JSON): v and lc (what the caller read), n (position of its last event), without {consumer..}: those that
--   need not have read it, required {consumer..}: those that must have, blobs {sha..}, messages {due member..} that it may still have to send, wipe {key part..}, keep its id
--   2 run 3 name of the stream that notes it 4 commit id 5 actor 6 event type 7 event data 8.. ids of its log entries
-- Replies {1, n, ms} done, now or before; {-1, v} moved on; {-4} no such run; {-5} not closed; {-7, member} has a message to send;
--   {-9} held; {-11, consumer, its checkpoint} not read by everybody; {-12, id} the log has another entry there
local o = cjson.decode(ARGV[1])
local RUN, NOTED, CID = ARGV[2], ARGV[3], ARGV[4]
local h = redis.call('HMGET', KEYS[4], 'v', 'lc', 'st', 'hold')
local CLOSED = { completed = true, failed = true, cancelled = true }

local function let_go(sha) -- a payload beside the log goes with the last run that refers to it
  local refs = B .. 'refs:' .. sha
  if redis.call('SISMEMBER', refs, RUN) == 1 and redis.call('SCARD', refs) == 1 then
    redis.call('UNLINK', refs, B .. 'blob:' .. sha)
  else
    redis.call('SREM', refs, RUN)
  end
end

-- 1. Guards. Whoever lost the reply sends again at once: what it did is looked for among the notes of the last minutes.
local function noted()
  local top = '+'
  while true do
    local es = redis.call('XREVRANGE', KEYS[7], top, '-', 'COUNT', 200)
    for _, e in ipairs(es) do
      if e[2][10] == CID then return { 1, tonumber(e[2][8]), tonumber(e[2][6]) } end
      if tonumber(e[2][6]) < NOW - 600000 then return end
    end
    if #es < 200 then return end
    top = '(' .. es[#es][1]
  end
end
if not h[1] then return noted() or { -4 } end
if tonumber(h[1]) ~= o.v or h[2] ~= o.lc then return { -1, tonumber(h[1]) } end
if not CLOSED[h[3]] then return { -5 } end
if h[4] == '1' then return { -9 } end
for _, member in ipairs(o.messages or {}) do
  if redis.call('ZSCORE', KEYS[5], member) then return { -7, member } end
end
local without = {}
for _, consumer in ipairs(o.without or {}) do without[consumer] = true end
for _, consumer in ipairs(o.required or {}) do
  if redis.call('HEXISTS', KEYS[6], consumer) == 0 and not without[consumer] then return { -11, consumer, 0 } end
end
local read = redis.call('HGETALL', KEYS[6])
for i = 1, #read, 2 do
  if tonumber(read[i + 1]) < o.n and not without[read[i]] then return { -11, read[i], tonumber(read[i + 1]) } end
end
-- Claims that one call took share an entry, which is named by the last of them: the next entry is that of the event, too,
-- if it is the run's and goes back as far.
local function has_entry(id)
  local e = redis.call('XRANGE', KEYS[2], id, '+', 'COUNT', 1)[1]
  if not e or e[2][2] ~= RUN then return false end
  local behind = tonumber(string.match(e[1], '^%d+')) - tonumber(string.match(id, '^%d+'))
  return behind <= tonumber(e[2][6]) - tonumber(e[2][4])
end
for i = 8, #ARGV do
  if not has_entry(ARGV[i]) then return { -12, ARGV[i] } end
end

-- The keys that are not among KEYS are looked at before the first write.
look(B .. 'snap:' .. RUN, B .. 'emit:' .. RUN, B .. 'gone')
for _, part in ipairs(o.wipe or {}) do look(B .. part) end
for _, sha in ipairs(o.blobs or {}) do look(B .. 'refs:' .. sha, B .. 'blob:' .. sha) end

-- 2. It is gone.
for i = 8, #ARGV, 500 do redis.call('XDEL', KEYS[2], unpack(ARGV, i, math.min(i + 499, #ARGV))) end
redis.call('UNLINK', KEYS[3], KEYS[4], B .. 'snap:' .. RUN, B .. 'emit:' .. RUN)
for _, part in ipairs(o.wipe or {}) do redis.call('UNLINK', B .. part) end
for _, sha in ipairs(o.blobs or {}) do
  let_go(sha)
end

-- 3. The note. What may come back keeps its id: nobody begins another run by it.
if o.keep then redis.call('HSET', B .. 'gone', RUN, o.n) end
local v = tonumber(redis.call('HGET', KEYS[8], 'v') or '0') + 1
local n = tonumber(redis.call('HGET', KEYS[1], 'n') or '0') + 1
redis.call('XADD', KEYS[7], int(v) .. '-0', 't', ARGV[6], 'd', ARGV[7], 'm', int(NOW), 'n', int(n), 'c', CID, 'a', ARGV[5],
  'y', '')
redis.call('XADD', KEYS[2], int(n) .. '-' .. int(NOW), 'r', NOTED, 'f', int(v), 'l', int(v))
redis.call('HSET', KEYS[1], 'n', int(n))
redis.call('HSET', KEYS[8], 'v', int(v), 'lc', CID)
return { 1, n, NOW }

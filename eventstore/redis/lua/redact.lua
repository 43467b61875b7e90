-- redact: erase payloads of a closed run and keep that on record, in one atomic step. Keyspace: runs_common.lua, seal.lua.
-- A stream's entries cannot be changed, so the stream is written anew, with the same ids.
-- KEYS 1 meta 2 log 3 run:<run> 4 head:<run> 5 checkpoints
-- ARGV 1 options (JSON): v and lc (what the caller read), ledger (the ledger's checkpoint as it was then), blobs {sha..}
--   2 commit id 3 actor 4 cause 5 run 6 event type 7 event data, then six of each erased event:
--   version, its new data, position, epoch in the ledger ('' when it is not sealed), place in the epoch, commitment
-- Replies {1, v, n, ms} done; {2, v, 0, ms} done before; {-1, v} moved on; {-4} unknown run; {-5} not closed; {-9} held;
--   {-11} the ledger has moved on
local o = cjson.decode(ARGV[1])
local CID, ACTOR, CAUSE, RUN = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local STREAM, HEAD = KEYS[3], KEYS[4]
local L = B .. 'ledger:'
local h = redis.call('HMGET', HEAD, 'v', 'lc', 'st', 'hold')
local CLOSED = { completed = true, failed = true, cancelled = true }

local function let_go(sha) -- a payload beside the log goes with the last run that refers to it
  local refs = B .. 'refs:' .. sha
  if redis.call('SISMEMBER', refs, RUN) == 1 and redis.call('SCARD', refs) == 1 then
    redis.call('UNLINK', refs, B .. 'blob:' .. sha)
  else
    redis.call('SREM', refs, RUN)
  end
end

-- 1. Guards.
if not h[1] then return { -4 } end
local v = tonumber(h[1])
if h[2] == CID then return { 2, v, 0, NOW } end
if v ~= o.v or h[2] ~= o.lc then return { -1, v } end
if not CLOSED[h[3]] then return { -5 } end
if h[4] == '1' then return { -9 } end
if (redis.call('HGET', KEYS[5], 'ledger') or '0') ~= o.ledger then return { -11 } end

local fresh = B .. 'erasing:' .. RUN .. ':' .. CID
-- The keys that are not among KEYS are looked at before the first write.
look(fresh, L .. 'erased', B .. 'snap:' .. RUN, B .. 'emit:' .. RUN)
for i = 8, #ARGV, 6 do
  if ARGV[i + 3] ~= '' then look(L .. 'salts:' .. ARGV[i + 3]) end
end
for _, sha in ipairs(o.blobs or {}) do look(B .. 'refs:' .. sha, B .. 'blob:' .. sha) end

-- 2. The stream, written anew.
local erased = {}
for i = 8, #ARGV, 6 do erased[ARGV[i] .. '-0'] = ARGV[i + 1] end
local from = '-'
while true do
  local entries = redis.call('XRANGE', STREAM, from, '+', 'COUNT', 500)
  for _, e in ipairs(entries) do
    local fields = e[2]
    if erased[e[1]] then
      for i = 1, #fields, 2 do
        if fields[i] == 'd' then fields[i + 1] = erased[e[1]] end
      end
    end
    redis.call('XADD', fresh, e[1], unpack(fields))
  end
  if #entries < 500 then break end
  from = '(' .. entries[#entries][1]
end
redis.call('RENAME', fresh, STREAM)

-- 3. The ledger keeps what it had committed to, without the salt that would let somebody guess it.
for i = 8, #ARGV, 6 do
  if ARGV[i + 3] ~= '' then
    redis.call('HSET', L .. 'erased', ARGV[i + 2], ARGV[i + 5])
    redis.call('SETRANGE', L .. 'salts:' .. ARGV[i + 3], 16 * tonumber(ARGV[i + 4]), string.rep('\0', 16))
  end
end
redis.call('HINCRBY', KEYS[1], 'erasures', 1)

-- 4. Payloads beside the log that no other run refers to, and what is only a cache.
for _, sha in ipairs(o.blobs or {}) do
  let_go(sha)
end
redis.call('UNLINK', B .. 'snap:' .. RUN, B .. 'emit:' .. RUN)

-- 5. The record.
v = v + 1
local n = tonumber(redis.call('HGET', KEYS[1], 'n') or '0') + 1
redis.call('XADD', STREAM, int(v) .. '-0', 't', ARGV[6], 'd', ARGV[7], 'm', int(NOW), 'n', int(n), 'c', CID, 'a', ACTOR,
  'y', CAUSE)
redis.call('XADD', KEYS[2], int(n) .. '-' .. int(NOW), 'r', RUN, 'f', int(v), 'l', int(v))
redis.call('HSET', KEYS[1], 'n', int(n))
redis.call('HSET', HEAD, 'v', int(v), 'lc', CID)
return { 1, v, n, NOW }

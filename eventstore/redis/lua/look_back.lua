#!lua flags=allow-oom
-- look_back: are commits still there that somebody was told of? Those that are not were lost with a server: that is kept on
-- record, once for each loss, whoever meets it how often, and the epoch of the partition rises.
-- KEYS 1 meta 2 log 3 losses
-- ARGV 1 ms until the record is forgotten 2 how many losses are kept 3.. pairs: position and ms of a commit, oldest first
-- Replies {epoch, 1 there | 0 lost ..}
-- A loss: JSON of epoch, at (ms), n (the head then), kept and kept_ms (the last commit before it that is there, 0 if none
--   is known), first and first_ms (the first lost one that somebody knows), lost and lost_ms (the last one)
local T = redis.call('TIME')
local NOW = T[1] * 1000 + math.floor(T[2] / 1000)
local function int(x) return string.format('%.0f', x) end
local meta = redis.call('HMGET', KEYS[1], 'n', 'e')
local n, epoch = tonumber(meta[1] or '0'), tonumber(meta[2] or '0')
-- An entry that is missing where no other one took its place has left with its run, which was archived or deleted.
local function there(at, ms)
  local id = int(at) .. '-' .. int(ms)
  if redis.call('XRANGE', KEYS[2], id, id)[1] then return true end
  if at > n then return false end
  local e = redis.call('XRANGE', KEYS[2], int(at) .. '-0', '+', 'COUNT', 1)[1]
  if not e then return true end
  local last = tonumber(string.match(e[1], '^(%d+)-'))
  return last - ((tonumber(e[2][6]) or 0) - (tonumber(e[2][4]) or 0)) > at
end

local out, new = { epoch }, nil
local kept, kept_ms = 0, 0
for i = 3, #ARGV, 2 do
  local at, ms = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  local is = there(at, ms)
  out[#out + 1] = is and 1 or 0
  if is and not new then kept, kept_ms = at, ms end
  if not is then
    new = new or { at = NOW, n = n, kept = kept, kept_ms = kept_ms, first = at, first_ms = ms }
    new.lost, new.lost_ms = at, ms
  end
end
if not new then return out end

-- Others have met the same loss when positions and times overlap; together they know best where it began and ended.
local known = redis.call('LRANGE', KEYS[3], 0, -1)
for i, text in ipairs(known) do
  local old = cjson.decode(text)
  if new.kept < old.lost and old.kept < new.lost and new.kept_ms <= old.lost_ms and old.kept_ms <= new.lost_ms then
    local changed = false
    if new.kept > old.kept then old.kept, old.kept_ms, changed = new.kept, new.kept_ms, true end
    if new.first < old.first then old.first, old.first_ms, changed = new.first, new.first_ms, true end
    if new.lost > old.lost then old.lost, old.lost_ms, changed = new.lost, new.lost_ms, true end
    if changed then redis.call('LSET', KEYS[3], i - 1, cjson.encode(old)) end
    return out
  end
end
new.epoch = epoch + 1
out[1] = new.epoch
redis.call('LPUSH', KEYS[3], cjson.encode(new))
redis.call('LTRIM', KEYS[3], 0, tonumber(ARGV[2]) - 1)
redis.call('PEXPIRE', KEYS[3], ARGV[1])
redis.call('HSET', KEYS[1], 'e', int(new.epoch))
return out

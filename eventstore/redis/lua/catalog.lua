#!lua
-- catalog: events of names of the catalog, with what each name comes to: all of a call, or nothing. Keyspace: keys.py.
-- KEYS 1 meta 2 log 3 run:<stream> 4 head:<stream> 5 catalog 6 catalog:names 7 catalog:words
-- ARGV 1 commit id 2 actor 3 cause 4 stream, then for each name: name, the version of its last event that the caller has
--   seen (0: none), its entry behind the new events, words that it may be found by, with spaces, how many events, pairs: type, data
-- Names and words stand in sorted sets too, by which they are found that begin with something; words are never taken out.
-- A name is stored as "<version>@<ms>,<version>@<ms>..|<entry>": where its events are, oldest first, and what they come to.
-- Replies {1, first version, last version, n, ms, 1, epoch} done; {2} done before; {-1, {name, what is stored}..} others were
--   first with these
local T = redis.call('TIME')
local NOW = T[1] * 1000 + math.floor(T[2] / 1000)
local function int(x) return string.format('%.0f', x) end
local CID, ACTOR, CAUSE, STREAM = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

-- Tell whether it was this very call that wrote to a name behind what its caller has seen: then it was carried out, all of
-- it, and its reply was lost. Others may have followed.
local function applied(seen, places)
  local behind = seen == '0' and '^,(%d+)@' or ',' .. seen .. '@%d+,(%d+)@'
  local version = string.match(',' .. places, behind)
  local e = version and redis.call('XRANGE', KEYS[3], version .. '-0', version .. '-0')[1]
  for i = 1, e and #e[2] or 0, 2 do
    if e[2][i] == 'c' then return e[2][i + 1] == CID end
  end
  return false
end

-- 1. Guards; nothing is written before all names have passed.
local changes, others = {}, {}
local place = 5
while place <= #ARGV do
  local c = { name = ARGV[place], entry = ARGV[place + 2], words = ARGV[place + 3], count = tonumber(ARGV[place + 4]),
    first = place + 5 }
  local stored = redis.call('HGET', KEYS[5], c.name)
  c.places = stored and string.match(stored, '^([^|]*)|') or ''
  local seen = string.match(c.places, '(%d+)@%d+$') or '0'
  if seen ~= ARGV[place + 1] then
    if applied(ARGV[place + 1], c.places) then return { 2 } end
    others[#others + 1] = c.name
    others[#others + 1] = stored or ''
  end
  changes[#changes + 1] = c
  place = c.first + 2 * c.count
end
if #others > 0 then return { -1, others } end

-- 2. Events; the explicit id is the second lock: were the head behind its stream, this first write would fail, and nothing
-- would have been written.
local meta = redis.call('HMGET', KEYS[1], 'n', 'e')
local n, epoch = tonumber(meta[1] or '0'), tonumber(meta[2] or '0')
local v = tonumber(redis.call('HGET', KEYS[4], 'v') or '0')
local first = v + 1
for _, c in ipairs(changes) do
  for i = c.first, c.first + 2 * (c.count - 1), 2 do
    v = v + 1
    n = n + 1
    redis.call('XADD', KEYS[3], int(v) .. '-0', 't', ARGV[i], 'd', ARGV[i + 1], 'm', int(NOW), 'n', int(n), 'c', CID, 'a', ACTOR,
      'y', CAUSE)
    c.places = c.places .. (c.places == '' and '' or ',') .. int(v) .. '@' .. int(NOW)
  end
end

-- 3. The log entry, the counter, the head: behind the events, as in append.lua. The names are last: they are derived, and
-- one that is behind its events is written anew from them.
redis.call('XADD', KEYS[2], int(n) .. '-' .. int(NOW), 'r', STREAM, 'f', int(first), 'l', int(v))
redis.call('HSET', KEYS[1], 'n', int(n))
redis.call('HSET', KEYS[4], 'v', int(v), 'lc', CID)
for _, c in ipairs(changes) do
  for word in string.gmatch(c.words, '%S+') do redis.call('ZADD', KEYS[7], 0, word) end
  redis.call('ZADD', KEYS[6], 0, c.name)
  redis.call('HSET', KEYS[5], c.name, c.places .. '|' .. c.entry)
end
return { 1, first, v, n, NOW, 1, epoch }

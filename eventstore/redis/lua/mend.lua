-- mend: what a log says of a run is written into its head and the indexes, in one atomic step. Keyspace: runs_common.lua.
-- KEYS 1 meta 2 log 3 run:<run> 4 head:<run> 5 due 6 snap:<run>
-- ARGV 1 options (JSON): v and lc (where the log ends for this run: nothing of it when v is 0), top (last version of the
--   stream, as it was read), was (version of the head, as it was read), seen (id of the last log entry that was read, '-' for none), fields {name, value..} of the head, records {{step,
--   queue, prio, attempt, scheduled version, stc, flags, fence, worker, ready 0|1, share or ""}..}, timers {{member, delay, time or 0}..},
--   forget {due member..}, leave {{queue, member}..}, drop {id..} (where v is 0: entries of the run, which are the last of the log)
--   2 run
-- Events behind v were never acknowledged: no log entry names them, and a log entry comes after its events.
-- Replies 1 done, 0 somebody has changed it meanwhile
local o, RUN = cjson.decode(ARGV[1]), ARGV[2]
local STREAM, HEAD, FRESH = KEYS[3], KEYS[4], B .. 'mending:' .. RUN

-- 1. Guards.
local newest = redis.call('XREVRANGE', STREAM, '+', '-', 'COUNT', 1)[1]
local top = newest and tonumber(string.match(newest[1], '^(%d+)')) or 0
if top ~= o.top or tonumber(redis.call('HGET', HEAD, 'v') or '0') ~= o.was then return 0 end
local from = o.seen == '-' and '-' or '(' .. o.seen
while true do -- what was logged since is true of a run that goes on
  local entries = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', 500)
  for _, e in ipairs(entries) do
    if e[2][2] == RUN then return 0 end
  end
  if #entries < 500 then break end
  from = '(' .. entries[#entries][1]
end
local before
if o.drop then -- nobody has written behind them, so the log ends again where it ended before them
  local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', #o.drop + 1)
  for i, id in ipairs(o.drop) do
    local e = last[#o.drop + 1 - i]
    if not e or e[1] ~= id or e[2][2] ~= RUN then return 0 end
  end
  before = last[#o.drop + 1] and last[#o.drop + 1][1] or '0-1'
end
local logged = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
local n = logged and tonumber(string.match(logged[1], '^(%d+)')) or 0
n = math.max(n, tonumber(redis.call('HGET', KEYS[1], 'n') or '0'))
local queues = {}
for _, s in ipairs(o.records or {}) do queues[s[2]] = true end
local shares = {}
for _, pair in ipairs(o.leave or {}) do
  queues[pair[1]] = true
  local step = string.sub(pair[2], #RUN + 2)
  shares[pair[2]] = redis.call('HGET', HEAD, 'k:' .. step) or nil
  look_at_share(pair[1], shares[pair[2]])
end
for _, s in ipairs(o.records or {}) do
  if s[11] ~= '' then look_at_share(s[2], s[11]) end
end
look_at_queues(queues)
if redis.call('EXISTS', FRESH) == 1 then return 0 end

-- 2. Writes.
for _, member in ipairs(o.forget or {}) do due_drop(member) end
for _, pair in ipairs(o.leave or {}) do ready_drop(pair[1], pair[2], nil, shares[pair[2]]) end
if before then
  n = tonumber(string.match(before, '^(%d+)'))
  for i = 1, #o.drop, 500 do redis.call('XDEL', KEYS[2], unpack(o.drop, i, math.min(i + 499, #o.drop))) end
  -- A stream does not go back behind an entry that was deleted, unless it is told that an earlier one was the last of those.
  redis.call('XSETID', KEYS[2], o.drop[#o.drop], 'ENTRIESADDED', redis.call('XLEN', KEYS[2]), 'MAXDELETEDID', before)
  redis.call('XSETID', KEYS[2], before)
end
redis.call('HSET', KEYS[1], 'n', int(n))
redis.call('UNLINK', KEYS[6])
if o.v == 0 then
  write_changes()
  redis.call('UNLINK', STREAM, HEAD)
  return 1
end
if top > o.v then -- a stream that has lost its last entries does not take their ids again: it is written anew
  local next_id = '-'
  while true do
    local entries = redis.call('XRANGE', STREAM, next_id, int(o.v) .. '-0', 'COUNT', 500)
    for _, e in ipairs(entries) do redis.call('XADD', FRESH, e[1], unpack(e[2])) end
    if #entries < 500 then break end
    next_id = '(' .. entries[#entries][1]
  end
  redis.call('RENAME', FRESH, STREAM)
end
local old = redis.call('HKEYS', HEAD)
local set = { 'v', int(o.v), 'lc', o.lc }
for _, x in ipairs(o.fields or {}) do set[#set + 1] = x end
local kept = { v = true, lc = true }
for i = 1, #set, 2 do kept[set[i]] = true end
for _, s in ipairs(o.records or {}) do
  local key = RUN .. '|' .. s[1]
  local r = { queue = s[2], prio = int(s[3]), attempt = int(s[4]), sv = int(s[5]), stc = int(s[6]), flags = s[7],
    fence = s[8], worker = s[9], expiry = s[8] == '' and '0' or int(NOW), deadline = '0' }
  set[#set + 1] = 's:' .. s[1]
  set[#set + 1] = pack(r)
  kept['s:' .. s[1]] = true
  if s[8] ~= '' then due_add(NOW, 'l|' .. key) end
  if s[11] ~= '' then
    set[#set + 1] = 'k:' .. s[1]
    set[#set + 1] = s[11]
    kept['k:' .. s[1]] = true
  end
  if s[10] == 1 then ready_add(s[2], s[3], key, s[11] ~= '' and s[11] or nil) end
end
for _, t in ipairs(o.timers or {}) do due_add(t[3] > 0 and t[3] or NOW + t[2], t[1]) end
write_changes()
in_parts('HSET', HEAD, set)
local gone = {}
for _, name in ipairs(old) do
  if not kept[name] then gone[#gone + 1] = name end
end
in_parts('HDEL', HEAD, gone)
return 1

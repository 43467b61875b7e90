#!lua flags=no-writes
-- survey: how runs of a partition look from outside, all at one moment. Keyspace: runs_common.lua.
-- KEYS 1 meta 2 log 3 due
-- ARGV 1 1 when the indexes are wanted too, else 0 2 id of the last log entry that the caller has read, '-' for none
--   3 how many queues the caller knows 4.. their names, then pairs: run, id of its last log entry that the caller has read
--   ('' for none)
-- Replies {ms, {head, how many events, id, type and commit of the last one, 1 when that log entry is there} of each run,
--   due members, {set, key} of ready steps, {run, last version} of log entries behind the one that was read}; the last
--   three are of these runs only, and empty unless they are wanted
local B = string.sub(KEYS[1], 1, -5)
local T = redis.call('TIME')
local WITH, SEEN, QUEUES = ARGV[1] == '1', ARGV[2], tonumber(ARGV[3])
local PAGE = 1000
local function field(entry, name)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == name then return entry[2][i + 1] end
  end
  return ''
end
local wanted, queues, runs, due, ready, logged = {}, {}, {}, {}, {}, {}
for i = 4, 3 + QUEUES do queues[ARGV[i]] = true end
for i = 4 + QUEUES, #ARGV, 2 do
  local run, id = ARGV[i], ARGV[i + 1]
  wanted[run] = true
  local head = redis.call('HGETALL', B .. 'head:' .. run)
  local last = redis.call('XREVRANGE', B .. 'run:' .. run, '+', '-', 'COUNT', 1)[1]
  local there = 0
  if WITH and id ~= '' then there = #redis.call('XRANGE', KEYS[2], id, id) end
  runs[#runs + 1] = { head, redis.call('XLEN', B .. 'run:' .. run), last and last[1] or '', last and field(last, 't') or '',
    last and field(last, 'c') or '', there }
  for j = 1, #head, 2 do
    if string.sub(head[j], 1, 2) == 's:' then queues[string.match(head[j + 1], '^[^|]*')] = true end
  end
end
if not WITH then return { T[1] * 1000 + math.floor(T[2] / 1000), runs, due, ready, logged } end

-- Members begin with one letter and a bar, keys with the run; the run ends at the next bar.
local function each(key, look)
  local from = 0
  while true do
    local members = redis.call('ZRANGE', key, from, from + PAGE - 1)
    for _, member in ipairs(members) do look(member) end
    if #members < PAGE then return end
    from = from + PAGE
  end
end
each(KEYS[3], function(member)
  if wanted[string.match(member, '^..([^|]*)')] then due[#due + 1] = member end
end)
for queue in pairs(queues) do
  local sets = { queue }
  for _, component in ipairs(redis.call('SMEMBERS', B .. 'aside:' .. queue)) do sets[#sets + 1] = queue .. '|' .. component end
  for _, set in ipairs(sets) do
    each(B .. 'ready:' .. set, function(key)
      if wanted[string.match(key, '^[^|]*')] then ready[#ready + 1] = { set, key } end
    end)
  end
  each(B .. 'fair:' .. queue, function(key)
    if wanted[string.match(key, '^[^|]*')] then ready[#ready + 1] = { queue, key } end
  end)
end
local from = SEEN == '-' and '-' or '(' .. SEEN
while true do
  local entries = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', PAGE)
  for _, e in ipairs(entries) do
    if wanted[field(e, 'r')] then logged[#logged + 1] = { field(e, 'r'), field(e, 'l') } end
  end
  if #entries < PAGE then break end
  from = '(' .. entries[#entries][1]
end
return { T[1] * 1000 + math.floor(T[2] / 1000), runs, due, ready, logged }

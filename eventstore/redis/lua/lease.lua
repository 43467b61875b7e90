#!lua flags=allow-oom
-- lease: who may do something alone, and until when by the server's clock; each call is one atomic step.
-- KEYS 1 leases (hash: name -> record, '' -> the last token) 2 leases:ends (zset: name -> ms at which its lease ends)
-- A record: token|since|until|lease ms|state|request|holder ; state: held, free (given back), broken (taken away). One that
--   is over stays for a day, so that people see who has died with it, and a reply that was lost can be given again.
--   That of a broken one has in the place of the request who has taken it away and why, as JSON without |.
-- ARGV 1 operation 2 name, then
--   take  3 lease ms 4 request 5 holder   unless somebody has it; asked again by the same request, it is the same lease
--   renew 3 token 4 lease ms              unless it has run out, even if nobody has taken it since
--   free  3 token
--   break 3 token 4 who and why           it is not its holder's any more; nothing that it has run out for
--   look  3 token
--   token 3 token                         a new one, for nobody, while the last who took it has the token that is given:
--                                         higher than all before, and lower than that of who takes it from then on
-- Replies {1 done, or held by the token | 0 not, ms, token, since, until, lease ms, state, request, holder}, without what
--   follows the ms where there is no record; token: {1, ms, the token}, or as the others where it is not given
-- Tokens only rise, over all names and all time: also when a failover has lost the last of them, so they begin with the clock.
local op, name = ARGV[1], ARGV[2]
local T = redis.call('TIME')
local NOW = T[1] * 1000 + math.floor(T[2] / 1000)
local DAY = 86400000
local function int(x) return string.format('%.0f', x) end
local function next_token()
  return int(math.max(T[1] * 1000000 + T[2], tonumber(redis.call('HGET', KEYS[1], '') or '0') + 1))
end
local function read()
  local raw = redis.call('HGET', KEYS[1], name)
  if not raw then return nil end
  local token, since, ends, lease, state, request, holder = string.match(raw, '^(%d+)|(%d+)|(%d+)|(%d+)|(%a+)|([^|]*)|(.*)$')
  return { token = token, since = since, ends = ends, lease = lease, state = state, request = request, holder = holder }
end
local function reply(done, r)
  if not r then return { done, int(NOW) } end
  return { done, int(NOW), r.token, r.since, r.ends, r.lease, r.state, r.request, r.holder }
end
local function write(r)
  redis.call('HSET', KEYS[1], name, table.concat({ r.token, r.since, r.ends, r.lease, r.state, r.request, r.holder }, '|'))
  redis.call('ZADD', KEYS[2], r.ends, name)
end

-- 1. Guards.
local r = read()
local held = r and r.state == 'held' and NOW < tonumber(r.ends)
if op == 'take' then
  if held then return reply(r.request == ARGV[4] and 1 or 0, r) end
  -- What has been over for long goes, some at a time.
  local over = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', int(NOW - DAY), 'LIMIT', 0, 20)
  local token = next_token()
  r = { token = token, since = int(NOW), ends = int(NOW + ARGV[3]), lease = ARGV[3], state = 'held', request = ARGV[4],
    holder = ARGV[5] }
  for _, other in ipairs(over) do
    redis.call('HDEL', KEYS[1], other)
    redis.call('ZREM', KEYS[2], other)
  end
  redis.call('HSET', KEYS[1], '', token)
  write(r)
  return reply(1, r)
end
local same = r and r.token == ARGV[3]
if op == 'token' then
  if not same then return reply(0, r) end
  local token = next_token()
  redis.call('HSET', KEYS[1], '', token)
  return { 1, int(NOW), token }
end
if op == 'look' then return reply(held and same and 1 or 0, r) end
if op == 'free' and same and r.state == 'free' then return reply(1, r) end
if op == 'break' and same and r.state == 'broken' then return reply(1, r) end
if not same or (op ~= 'break' and not held) then return reply(0, r) end

-- 2. Writes.
if op == 'renew' then
  r.ends = int(math.max(tonumber(r.ends), NOW + ARGV[4]))
else
  r.state = op == 'free' and 'free' or 'broken'
  r.ends = int(math.min(tonumber(r.ends), NOW))
  if op == 'break' then r.request = ARGV[4] end
end
write(r)
return reply(1, r)

"""Time passes in a store without anybody waiting: all that it holds becomes older."""

from __future__ import annotations

from eventstore.redis.runs import RedisRunStore
from openagents_json.work_index import NEVER_MS

_AGE = """
local B, ms = string.sub(KEYS[1], 1, -5), tonumber(ARGV[1])
local function int(x) return string.format('%.0f', x) end
local function sets(key)
  local members = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  for i = 1, #members, 2 do
    if tonumber(members[i + 1]) < tonumber(ARGV[2]) then redis.call('ZINCRBY', key, -ms, members[i]) end
  end
end
sets(B .. 'due')
for _, kind in ipairs({ 'ready', 'fair' }) do
  for _, key in ipairs(redis.call('KEYS', B .. kind .. ':*')) do sets(key) end
end
for _, key in ipairs(redis.call('KEYS', B .. 'claim:*')) do
  local left = redis.call('PTTL', key) - ms
  if left > 0 then redis.call('PEXPIRE', key, int(left)) else redis.call('DEL', key) end
end
for _, key in ipairs(redis.call('KEYS', B .. 'head:*')) do
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 2) == 's:' then
      local front, expiry, deadline = string.match(fields[i + 1], '^(.*|)(%d+)|(%d+)$')
      if expiry ~= '0' then expiry = int(math.max(1, tonumber(expiry) - ms)) end
      if deadline ~= '0' then deadline = int(math.max(1, tonumber(deadline) - ms)) end
      redis.call('HSET', key, fields[i], front .. expiry .. '|' .. deadline)
    end
  end
end
return 1
"""


def age(store: RedisRunStore, ms: int) -> None:
    """Let so many ms pass in all partitions of a store."""
    for partition in range(store.keys.partitions):
        store.connection.client.eval(_AGE, 1, store.keys.meta(partition), ms, NEVER_MS)

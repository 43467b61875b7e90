-- fenced: put before a script whose writes count only while a lease is held. It looks, takes away what was added to KEYS
-- and ARGV, and lets the script go on as if nothing were there; all is one atomic step.
-- KEYS last: the fence of the lease in this slot, see fence.lua
-- ARGV last three: name, token, until when it is held as far as its holder knows (ms, by the server's clock)
-- Replies the error "LEASELOST <token> newer|over <token of another|ms> <name>", and nothing was written
do
  local ends, token, name = table.remove(ARGV), table.remove(ARGV), table.remove(ARGV)
  local newest = redis.call('GET', table.remove(KEYS)) or '0'
  local t = redis.call('TIME')
  local why
  if tonumber(newest) > tonumber(token) then
    why = 'newer ' .. newest
  elseif t[1] * 1000 + math.floor(t[2] / 1000) >= tonumber(ends) then
    why = 'over ' .. ends
  end
  if why then return redis.error_reply('LEASELOST ' .. token .. ' ' .. why .. ' ' .. name) end
end

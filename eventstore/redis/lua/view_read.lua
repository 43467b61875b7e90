#!lua flags=no-writes
-- view_read: the events of a partition behind a position, as projections want them: those of some types, in one reply.
-- KEYS 1 meta 2 log ; ARGV 1 position 2 how many positions to go at most 3.. types (none: all)
-- Replies {position come to, ms of the commit that it lies in or '', then ten of each event: stream, version, position, ms, actor, type, data, commit, cause,
--   metadata ('' for none)}
local B = string.sub(KEYS[1], 1, -5)
local function int(x) return string.format('%.0f', x) end
local after, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local wanted, all = {}, #ARGV < 3
for i = 3, #ARGV do wanted[ARGV[i]] = true end
local out, at = { after, '' }, after
-- What others have written into the log is no commit: it is passed over, and the doctor tells of it.
local entries = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], int(after + 1) .. '-0', '+', 'COUNT', most)) do
  if tonumber(entry[2][4]) and tonumber(entry[2][6]) then entries[#entries + 1] = entry end
end
for _, entry in ipairs(entries) do
  if at - after >= most then break end
  local n = tonumber(string.match(entry[1], '^(%d+)'))
  local stream, first, last = entry[2][2], tonumber(entry[2][4]), tonumber(entry[2][6])
  if n - (last - first) > after + most then -- runs have left the log between here and there
    at, out[2] = after + most, ''
    break
  end
  first = math.max(first, last - (n - after) + 1)
  local stop = math.min(last, last - (n - after - most))
  for _, e in ipairs(redis.call('XRANGE', B .. 'run:' .. stream, int(first) .. '-0', int(stop) .. '-0')) do
    local f = e[2]
    if all or wanted[f[2]] then
      local k = #out
      out[k + 1], out[k + 2], out[k + 3] = stream, string.match(e[1], '^(%d+)'), f[8]
      out[k + 4], out[k + 5], out[k + 6], out[k + 7] = f[6], f[12], f[2], f[4]
      out[k + 8], out[k + 9], out[k + 10] = f[10], f[14], f[16] or ''
    end
  end
  at = n - (last - stop)
  out[2] = string.match(entry[1], '-(%d+)$')
end
out[1] = at
return out

#!lua flags=allow-oom
-- seal: what the ledger says of some events, with its checkpoint, in one atomic step.
-- KEYS 1 meta 2 checkpoints ; everything of the ledger lies under L = "<prefix>:{<p>}:ledger:", in the same slot:
--   L state       hash   chain: hash of all events so far, epoch: number of the open epoch, first: its first position,
--                        previous: hash of the last record
--   L leaves:<e>  string 32 bytes for each event of an epoch
--   L salts:<e>   string 16 bytes for each event of an epoch, zero where the payload was erased
--   L epochs      hash   epoch -> its record, as it was signed
--   L signatures  hash   epoch -> signature
--   L erased      hash   position -> commitment to a payload that is no more
-- ARGV 1 checkpoint it was made from 2 checkpoint after it 3 erasures seen 4 open epoch 5 chain 6 leaves 7 salts
--   8 record that closes the epoch, or '' 9 its signature 10 hash of the record 11 stream of the last event that was
--   read, '' when there was none 12 its version 13 its commit
-- Replies {1, checkpoint} done; {0, checkpoint} another was faster, or a payload was erased meanwhile; {-2, n} the log
--   ends before it, or has lost what was read and has other events there now
local function int(x) return string.format('%.0f', x) end
local L = string.sub(KEYS[1], 1, -5) .. 'ledger:'

-- 1. Guards.
local at = redis.call('HGET', KEYS[2], 'ledger') or '0'
local m = redis.call('HMGET', KEYS[1], 'n', 'erasures')
local epoch = redis.call('HGET', L .. 'state', 'epoch') or '1'
if at ~= ARGV[1] or (m[2] or '0') ~= ARGV[3] or epoch ~= ARGV[4] then return { 0, tonumber(at) } end
local n = tonumber(m[1] or '0')
if tonumber(ARGV[2]) > n then return { -2, n } end
if ARGV[11] ~= '' then
  local e = redis.call('XRANGE', string.sub(KEYS[1], 1, -5) .. 'run:' .. ARGV[11], ARGV[12] .. '-0', ARGV[12] .. '-0')[1]
  local commit
  for i = 1, e and #e[2] or 0, 2 do
    if e[2][i] == 'c' then commit = e[2][i + 1] end
  end
  if commit ~= ARGV[13] then return { -2, n } end
end

-- The keys that are not among KEYS are looked at before the first write: an error in the middle would undo nothing.
redis.call('EXISTS', L .. 'leaves:' .. epoch, L .. 'salts:' .. epoch, L .. 'epochs', L .. 'signatures')

-- 2. Writes.
if ARGV[6] ~= '' then
  redis.call('APPEND', L .. 'leaves:' .. epoch, ARGV[6])
  redis.call('APPEND', L .. 'salts:' .. epoch, ARGV[7])
end
redis.call('HSET', L .. 'state', 'chain', ARGV[5], 'epoch', epoch)
if ARGV[8] ~= '' then
  for _, part in ipairs({ 'leaves:', 'salts:' }) do -- without the room that the server keeps for more
    redis.call('SET', L .. part .. epoch, redis.call('GET', L .. part .. epoch))
  end
  redis.call('HSET', L .. 'epochs', epoch, ARGV[8])
  redis.call('HSET', L .. 'signatures', epoch, ARGV[9])
  redis.call('HSET', L .. 'state', 'epoch', int(tonumber(epoch) + 1), 'first', int(tonumber(ARGV[2]) + 1),
    'previous', ARGV[10])
end
redis.call('HSET', KEYS[2], 'ledger', ARGV[2])
return { 1, tonumber(ARGV[2]) }

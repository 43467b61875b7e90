-- adopt: a commit (commit.lua, before which this is put) to a run that comes from elsewhere with its history. Keyspace:
--   runs_common.lua.
-- KEYS as in commit.lua for one commit, and 6 stage: the history, as stage.lua has put it aside
-- Options: those of commit.lua with mode adopt; v and lc are the end of the history.
-- Replies: those of commit.lua; 2 when the run is there with this history, -6 with another one; -12 not all of it staged
local function holds(stream, version, commit)
  local e = redis.call('XRANGE', stream, int(version) .. '-0', int(version) .. '-0')
  return e[1] ~= nil and e[1][2][10] == commit
end
local function staged(stage, version)
  local e = redis.call('XREVRANGE', stage, '+', '-', 'COUNT', 1)
  return e[1] ~= nil and e[1][1] == int(version) .. '-0' and redis.call('XLEN', stage) == version
end
-- Types, data and times stay what they were; only the positions are new, as they count the events of this partition.
-- The head says that the run comes in until it is there: what is cut off in the middle can be told from a run that lost its head.
-- There is a log entry for each commit, with its time, because that is how readers know whether the log is the same.
local function take_over(stage, log, stream, run, n)
  local from, first, before = '-', 1, nil
  local function entry(last)
    redis.call('XADD', log, int(n) .. '-' .. before[6], 'r', run, 'f', int(first), 'l', int(last))
  end
  local v = 0
  while true do
    local es = redis.call('XRANGE', stage, from, '+', 'COUNT', 500)
    if #es == 0 then break end
    for _, e in ipairs(es) do
      local f = e[2]
      if before and (before[8] ~= f[8] or before[6] ~= f[6]) then
        entry(v)
        first = v + 1
      end
      v, n, before = v + 1, n + 1, f
      if f[14] == '' then
        redis.call('XADD', stream, e[1], 't', f[2], 'd', f[4], 'm', f[6], 'n', int(n), 'c', f[8], 'a', f[10], 'y', f[12])
      else
        redis.call('XADD', stream, e[1], 't', f[2], 'd', f[4], 'm', f[6], 'n', int(n), 'c', f[8], 'a', f[10], 'y', f[12],
          'x', f[14])
      end
    end
    from = '(' .. es[#es][1]
  end
  entry(v)
  redis.call('DEL', stage)
  return n
end

-- A page of a listing, newest first: of all indexes that fit the filter at once, so that a job that moves
-- from one to another is seen exactly once. ARGV: 1 a seq that all are below, 2 how many to look at, 3 how
-- many to find, 4 the filter: what every job must have (states, types, queues, batch, key, tag), and where to
-- look: `index`, a key below the root, or `ended`, those states, and `live` or `running`. Reply: how many
-- were looked at, the seq of the last of them, the rows of those that fit.
--# use rows merge
local before, look, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local wanted = cjson.decode(ARGV[4])
local MOST_RUNNING = 1000

local function of_ended(indexes)
  local known = {}
  for _, field in ipairs(redis.call('HKEYS', R .. ':tally')) do
    local kind, state = field:match('^[^' .. US .. ']*' .. US .. '([^' .. US .. ']*)' .. US .. '(.*)$')
    local name = state .. ':' .. kind
    if wanted.ended[state] and not known[name] and (not wanted.types or wanted.types[kind]) then
      known[name] = true
      indexes[#indexes + 1] = R .. ':ended:' .. name
    end
  end
end

-- Leases are in the order in which they end.
local function of_running(indexes)
  if redis.call('ZCARD', R .. ':lease') > MOST_RUNNING then
    indexes[#indexes + 1] = R .. ':live'
    return
  end
  local seqs, ids, running = {}, {}, {}
  for _, id in ipairs(redis.call('ZRANGE', R .. ':lease', 0, -1)) do
    seqs[id] = tonumber(redis.call('HGET', R .. ':j:' .. id, 'i') or '')
    if seqs[id] and seqs[id] < tonumber(before) then ids[#ids + 1] = id end
  end
  table.sort(ids, function(a, b) return seqs[a] > seqs[b] end)
  for n, id in ipairs(ids) do running[2 * n - 1], running[2 * n] = id, seqs[id] end
  indexes[#indexes + 1] = running
end

local function fits(id)
  local f = redis.call('HMGET', R .. ':j:' .. id, 's', 't', 'q', 'b', 'u')
  return f[1]
    and (not wanted.states or wanted.states[f[1]])
    and (not wanted.types or wanted.types[f[2]])
    and (not wanted.queues or wanted.queues[f[3]])
    and (not wanted.batch or wanted.batch == f[4])
    and (not wanted.key or wanted.key == f[5])
    and (not wanted.tag or redis.call('ZSCORE', R .. ':tag:' .. wanted.tag, id))
end

local indexes, reply = {}, {0, '0'}
if wanted.index then indexes[1] = R .. wanted.index end
if wanted.ended then of_ended(indexes) end
if wanted.live then indexes[#indexes + 1] = R .. ':live' end
if wanted.running then of_running(indexes) end
merge.walk(indexes, before, true, math.ceil(look / math.max(1, #indexes)), function(id, seq)
  reply[1], reply[2] = reply[1] + 1, core.num(seq)
  if fits(id) then reply[#reply + 1] = jobs.row(id) end
  return reply[1] == look or #reply - 2 == limit
end)
return reply

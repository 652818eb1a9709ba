-- What every script has: gathered changes of sorted sets and tallies, sent once at the end.
-- The last one of a key and member stands, so a part may add what another has removed.
-- Whoever reads an index that this script may have changed calls core.flush() first.

local MANY = 2000
local added = {}    -- key -> member -> score, or false where it is removed
local parkings = {} -- key of parked jobs -> lane and queue
local moves = {}    -- queue -> type -> state -> count

function core.some(value)
  if value and value ~= '' and value ~= cjson.null then return value end
  return nil
end

-- A server whose memory is full refuses a script at its first write if that may take memory, and lets later ones
-- through. What brings no jobs begins with a write that takes none: those that are there must come to their ends.
function core.go_on() redis.call('ZREM', R .. ':lease', '') end

function core.num(n) return string.format('%.0f', n) end

function core.zadd(key, score, member)
  local of = added[key]
  if not of then of = {}; added[key] = of end
  of[member] = score
end

function core.zrem(key, member) core.zadd(key, false, member) end

-- Whoever changes it by core.zadd or core.zrem names it by this; R:parkings follows by itself.
function core.parked(lane, queue)
  local where = lane .. US .. queue
  local key = R .. ':parked:' .. where
  parkings[key] = where
  return key
end

function core.count(queue, type, state, delta)
  local of = moves[queue]
  if not of then of = {}; moves[queue] = of end
  local by = of[type]
  if not by then by = {}; of[type] = by end
  by[state] = (by[state] or 0) + delta
end

local function send(command, key, list)
  for first = 1, #list, MANY do
    redis.call(command, key, unpack(list, first, math.min(first + MANY - 1, #list)))
  end
end

local function flush_key(key, members)
  local adds, removes = {}, {}
  for member, score in pairs(members) do
    if score then
      adds[#adds + 1] = score
      adds[#adds + 1] = member
    else
      removes[#removes + 1] = member
    end
  end
  if removes[1] then send('ZREM', key, removes) end
  if adds[1] then send('ZADD', key, adds) end
  local where = parkings[key]
  if where and redis.call('EXISTS', key) == 1 then
    redis.call('ZADD', R .. ':parkings', 0, where)
  elseif where then
    redis.call('ZREM', R .. ':parkings', where)
  end
end

local function flush_moves(queue, type, by)
  for state, n in pairs(by) do
    local what = queue .. US .. type .. US .. state
    if n ~= 0 and redis.call('HINCRBY', R .. ':tally', what, n) == 0 then
      redis.call('HDEL', R .. ':tally', what)
    end
  end
end

function core.flush()
  for key, members in pairs(added) do flush_key(key, members) end
  added = {}
  for queue, of in pairs(moves) do
    for type, by in pairs(of) do flush_moves(queue, type, by) end
  end
  moves = {}
end

-- Changes of sorted sets, gathered until core.flush(). The last one of a key and member stands, so a part may add what
-- another has removed.
--# use core

local MANY = 2000
local added = {}    -- key -> member -> score, or false where it is removed
local parkings = {} -- key of parked jobs -> lane and queue

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

-- A command of one key, with as many arguments as there are: more than a few thousand are too many for one call.
function indexes.send(command, key, list)
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
  if removes[1] then indexes.send('ZREM', key, removes) end
  if adds[1] then indexes.send('ZADD', key, adds) end
  local where = parkings[key]
  if where and redis.call('EXISTS', key) == 1 then
    redis.call('ZADD', R .. ':parkings', 0, where)
  elseif where then
    redis.call('ZREM', R .. ':parkings', where)
  end
end

function indexes.flush()
  for key, members in pairs(added) do flush_key(key, members) end
  added = {}
end

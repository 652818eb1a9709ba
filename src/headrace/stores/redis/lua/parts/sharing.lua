-- Limits that several partitions share: how many slots of a lane are here, and whether its rate is. What is here is the
-- cap of the lane. All of it is at home until it is lent: there the numbers are of what is lent, elsewhere of what is owned.
--# use lanes
local SHARES, SHARED = R .. ':shares', R .. ':shared'
local AT_HOME = not R:find('/%d+}$')

function sharing.number(field) return tonumber(redis.call('HGET', SHARES, field) or 0) end

local function here(kind, lane, all)
  local number = sharing.number(kind .. ' ' .. lane)
  return AT_HOME and all - number or number
end

-- How many slots of a lane are here, but for those that are to leave; false if the limit has none. And 1 or 0 for the
-- rate, false for one that is not in one place. Nothing for a lane that is not shared.
function sharing.owned(lane)
  local slots, rated = (redis.call('HGET', SHARED, lane) or ''):match('^(%S+) (%d)$')
  if not slots then return nil end
  return tonumber(slots) and here('s', lane, tonumber(slots)) - sharing.number('l ' .. lane) or false,
    rated == '1' and here('r', lane, 1)
end

function sharing.set_cap(lane)
  local slots, rate = sharing.owned(lane)
  local cap = rate == 0 and '0' or slots and core.num(math.max(0, slots)) or ''
  if (redis.call('HGET', R .. ':lane:' .. lane, 'cap') or '') ~= cap then
    redis.call('HSET', R .. ':lane:' .. lane, 'cap', cap)
    lanes.touch(lane)
  end
end

-- After slots or a rate have come or gone. A rate brings its next theoretical start. Who looked, looks again.
function sharing.changed(lane, came, tat, now)
  local key = R .. ':lane:' .. lane
  if came and tonumber(tat) and tonumber(tat) > tonumber(redis.call('HGET', key, 'tat') or 0) then
    redis.call('HSET', key, 'tat', tat)
  end
  if came then redis.call('HSET', SHARES, 't ' .. lane, core.num(now), 'a ' .. lane, redis.call('HGET', key, 'tat') or '') end
  sharing.set_cap(lane)
  lanes.touch(lane)
end

-- Whether so many slots, and the rate if it is asked for, help nobody here now: no job holds them, nobody has started by it.
function sharing.may_leave(lane, slots, rate, tat)
  local own, has_rate = sharing.owned(lane)
  local idle = own and own + sharing.number('l ' .. lane) - redis.call('ZCARD', R .. ':slots:' .. lane)
  if slots > 0 and not (idle and idle >= slots) then return false end
  return rate == 0 or (has_rate == 1 and (redis.call('HGET', R .. ':lane:' .. lane, 'tat') or '') == tat)
end

-- As many fewer are to leave as have left.
function sharing.left(lane, slots)
  local leaving = math.min(sharing.number('l ' .. lane), slots)
  if leaving > 0 then redis.call('HINCRBY', SHARES, 'l ' .. lane, -leaving) end
end

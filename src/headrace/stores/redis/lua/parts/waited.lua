-- Who waits on lanes, for whoever only looks.
--# use core

-- The places of a lane: one for each queue in which jobs wait on it.
local function places(lane, most)
  return redis.call('ZRANGEBYLEX', R .. ':parkings', '[' .. lane .. US, '(' .. lane .. ' ', 'LIMIT', 0, most)
end

function lanes.queues(lane)
  local found = {}
  for n, place in ipairs(places(lane, -1)) do found[n] = place:sub(#lane + 2) end
  return found
end

function lanes.are_waited_for(lane) return #places(lane, 1) > 0 end

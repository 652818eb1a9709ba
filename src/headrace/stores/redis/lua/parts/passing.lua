-- Whom lanes let pass at this instant, and whom they do not. A lane is given as {its key, how many may hold a slot or
-- nothing, whether it lets nobody pass as long as its version is what it was}.
--# use core

-- Where a member stands in its queue. Its digits only: texts are compared as the server's locale has it.
function passing.place(member) return member:sub(1, 39) end

local function is_full(lane)
  if not lane[2] then return false end
  lane.held = lane.held or redis.call('ZCARD', R .. ':slots:' .. lane[1])
  return lane.held >= lane[2]
end

function passing.is_closed(lane) return lane[3] or is_full(lane) end

-- Whether one that waits on the lane comes before a job of the same queue.
function passing.is_behind(lane, queue, member)
  lane.best = lane.best or {}
  local best = lane.best[queue]
  if best == nil then
    best = redis.call('ZRANGE', core.parked(lane[1], queue), 0, 0)[1] or false
    lane.best[queue] = best
  end
  return best and passing.place(best) < passing.place(member)
end

-- Takes a slot of each of some lanes for a job, if all of them let it pass.
function passing.enter(lanes, queue, member)
  for _, lane in ipairs(lanes) do
    if is_full(lane) or passing.is_behind(lane, queue, member) then return false end
  end
  for _, lane in ipairs(lanes) do
    if lane[2] then lane.held = lane.held + 1 end
  end
  return true
end

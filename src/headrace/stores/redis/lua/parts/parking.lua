-- How a job is parked on a lane, and comes back.
--# use jobs later

-- No more of a job is written, and no hook told: it keeps its state, its slot, its turn and all its other indexes.

-- Parks a job that is ready, by its member; whoever has read its revision brings it.
function jobs.park(queue, member, lane, revision)
  local key = R .. ':j:' .. member:sub(-36)
  revision = revision or redis.call('HGET', key, 'r')
  if not revision then return end
  redis.call('HSET', key, 'd', '', 'x', lane, 'r', revision + 1)
  core.zrem(R .. ':q:' .. queue .. ':ready', member)
  core.zadd(core.parked(lane, queue), 0, member)
end

-- Brings back a job that is parked, by its member. One that is hidden (a cancel is asked) is claimed by nobody.
function jobs.unpark(lane, queue, member, due, now)
  local key = R .. ':j:' .. member:sub(-36)
  local revision, hidden = unpack(redis.call('HMGET', key, 'r', 'v'))
  if not revision then return end
  redis.call('HSET', key, 'd', due, 'x', '', 'r', revision + 1)
  core.zrem(core.parked(lane, queue), member)
  if not core.some(hidden) then jobs.wait(queue, member, due, now) end
end

-- {'held', id, fence}
CHECK.held = function(w)
  local seen = redis.call('HMGET', R .. ':j:' .. w[2], 'n', 's')
  if seen[2] ~= State.PROCESSING or tonumber(seen[1]) ~= w[3] then return {'lost', w[2], w[3]} end
end

-- {'unchanged', id, revision}
CHECK.unchanged = function(w)
  if tonumber(redis.call('HGET', R .. ':j:' .. w[2], 'r') or '') ~= w[3] then return {'again'} end
end

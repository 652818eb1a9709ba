-- Lanes: what is kept of them, and how those that wait on them come back.
--# use jobs parking holding waited
local TAGS_BELOW = 1000000000000 -- core.fairness.TAGS_BELOW: so low a rank is a tag, and no instant
local SLOTS_AT_ONCE = 500
local touched = {}

-- Tells everybody who has looked at a lane that what is kept of it, or whose turn it is, is not what they saw. A version
-- never comes twice, not even after the lane was forgotten: whoever looked may have stood still meanwhile. It does not
-- tell how many hold a slot or wait: whoever decides by that has it counted again when he writes.
function lanes.touch(lane)
  if touched[lane] then return end
  touched[lane] = true
  redis.call('HSET', R .. ':lane:' .. lane, 'v', redis.call('INCR', R .. ':versions'))
  redis.call('ZADD', R .. ':lanes', 0, lane)
end

-- Sees to it that a lane is known, and so is looked at by the sweep.
function lanes.make(lane)
  if redis.call('HEXISTS', R .. ':lane:' .. lane, 'v') == 0 then lanes.touch(lane) end
end

-- From when on a job that comes back is due: it keeps the place it had.
function lanes.due_again(member, now)
  local rank = tonumber(member:sub(8, 23))
  return rank < TAGS_BELOW and now or math.min(rank, now)
end

-- Brings back the best that wait on a lane in a queue; their members.
function lanes.bring_back(lane, queue, count, now)
  core.flush()
  local best = count > 0 and redis.call('ZRANGE', core.parked(lane, queue), 0, count - 1) or {}
  for _, member in ipairs(best) do
    jobs.unpark(lane, queue, member, lanes.due_again(member, now), now)
  end
  return best
end

-- Takes slots from those of the first holders that do not run, or hold none. There are none of these, unless a job
-- was written by something else than this store.
function lanes.drop_slots(lane)
  for _, id in ipairs(redis.call('ZRANGE', R .. ':slots:' .. lane, 0, SLOTS_AT_ONCE - 1)) do
    local state, slot = unpack(redis.call('HMGET', R .. ':j:' .. id, 's', 'y'))
    if state ~= State.PROCESSING or not core.some(slot) then
      redis.call('ZREM', R .. ':slots:' .. lane, id)
    end
  end
end

-- How lanes are written and forgotten, and how jobs come back from them.
--# use jobs moving lanes

-- {'touched', {lane, …}}: their versions from now on.
DO.touched = function(w)
  local found = {}
  for n, lane in ipairs(w[2]) do
    lanes.touch(lane)
    found[n] = redis.call('HGET', R .. ':lane:' .. lane, 'v')
  end
  return found
end

-- {'start_rate', lane, tat}: the next theoretical start of a lane, as text.
DO.start_rate = function(w) redis.call('HSET', R .. ':lane:' .. w[2], 'tat', w[3]) end

-- {'set_lane', lane, opens_at, cap}: texts, empty for none.
DO.set_lane = function(w)
  redis.call('HSET', R .. ':lane:' .. w[2], 'opens_at', w[3], 'cap', w[4])
  lanes.touch(w[2])
end

-- {'forget', {lane, …}, tat}: how many are forgotten, of which nothing need be kept. Slots of jobs that do not run are
-- given back by the way.
DO.forget = function(w)
  local count = 0
  for _, lane in ipairs(w[2]) do
    lanes.drop_slots(lane)
    local kept = redis.call('HMGET', R .. ':lane:' .. lane, 'tat', 'opens_at', 'cap')
    local at_rest = tonumber(kept[1] or '0') <= tonumber(w[3])
    if at_rest and not core.some(kept[2]) and not core.some(kept[3]) and not lanes.are_waited_for(lane) then
      redis.call('DEL', R .. ':lane:' .. lane)
      redis.call('ZREM', R .. ':lanes', lane)
      count = count + 1
    end
  end
  return count
end

-- {'bring_back', lane, queue, count, now}: the queue, and the members of those that came back, the best first.
DO.bring_back = function(w)
  return {w[3], unpack(lanes.bring_back(w[2], w[3], w[4], w[5]))}
end

-- {'bring_back_turn', lane, seq, now}: likewise, the one job, if it waits on the lane of its ordering key.
DO.bring_back_turn = function(w)
  core.flush()
  local id = redis.call('ZRANGEBYSCORE', R .. ':order:' .. w[2], w[3], w[3])[1]
  local job = id and jobs.load(id)
  if not job or job.parked ~= w[2] then return {''} end
  local member = jobs.member(id, job)
  jobs.unpark(w[2], job.queue, member, lanes.due_again(member, w[4]), w[4])
  return {job.queue, member}
end

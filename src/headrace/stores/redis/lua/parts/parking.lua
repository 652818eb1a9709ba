-- How a job is parked on a lane, and comes back.
--# use jobs

local function parked_or_not(id, old, lane, due, now)
  local new = jobs.copy(old)
  new.revision, new.due, new.parked, new.now = old.revision + 1, due, lane, now
  jobs.unplace(id, old)
  redis.call('HSET', R .. ':j:' .. id, 'd', due or '', 'x', lane or '', 'r', new.revision)
  jobs.place(id, new, now)
  jobs.changed(id, old, new)
end

function jobs.park(id, job, lane, now) parked_or_not(id, job or jobs.load(id), lane, nil, now) end

function jobs.unpark(id, job, due, now) parked_or_not(id, job or jobs.load(id), nil, due, now) end

-- {'held', id, fence}
CHECK.held = function(w)
  local seen = redis.call('HMGET', R .. ':j:' .. w[2], 'n', 's')
  if seen[2] ~= State.PROCESSING or tonumber(seen[1]) ~= w[3] then return {'lost', w[2], w[3]} end
end

-- {'unchanged', id, revision}
CHECK.unchanged = function(w)
  if tonumber(redis.call('HGET', R .. ':j:' .. w[2], 'r') or '') ~= w[3] then return {'again'} end
end

-- The room of bounded queues, and whose turn it is to put jobs in line.

local PENDING = US .. State.PENDING

-- How many jobs of a queue wait, due or not and parked. Where any are parked, the tallies know: lanes may be many.
function room.waiting(queue)
  if redis.call('ZCARD', R .. ':parkings') == 0 then
    local key = R .. ':q:' .. queue
    return redis.call('ZCARD', key .. ':ready') + redis.call('ZCARD', key .. ':later')
  end
  local beginning = queue .. US
  local count, tally = 0, redis.call('HGETALL', R .. ':tally')
  for index = 1, #tally, 2 do
    local name = tally[index]
    if name:sub(1, #beginning) == beginning and name:sub(-#PENDING) == PENDING then
      count = count + tonumber(tally[index + 1])
    end
  end
  return count
end

-- {'room', queue, waiting}: no more wait there.
CHECK.room = function(w)
  if room.waiting(w[2]) > w[3] then return {'again'} end
end

DO.room = function() end

-- {'turn', token}: nobody else insists on putting jobs in line.
CHECK.turn = function(w)
  local insisting = redis.call('GET', R .. ':insistence')
  if insisting and insisting ~= w[2] then return {'again'} end
end

DO.turn = function(w)
  if w[2] ~= '' then redis.call('DEL', R .. ':insistence') end
end

-- {'mark', register, revision, value, due}: what a queue has given out, unless somebody else has just written it.
DO.mark = function(w)
  if (tonumber(redis.call('HGET', R .. ':r:' .. w[2], 'n') or '') or 0) == w[3] then
    DO.swap({'swap', {{w[2], w[3], w[4], w[5]}}})
  end
end

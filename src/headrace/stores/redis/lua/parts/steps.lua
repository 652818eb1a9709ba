-- What jobs keep of their steps, `R:steps:<id>` number -> JSON, and the signals sent to them,
-- `R:signals:<id>` id -> "number JSON".
--# use core

-- Keeps steps, or writes them over those of the same number. `list` is {number, JSON, number, JSON, …}.
function steps.write(id, list)
  for n = 1, #list, 1000 do
    redis.call('HSET', R .. ':steps:' .. id, unpack(list, n, math.min(n + 999, #list)))
  end
end

-- {'adopt', {id, …}, list}: each of these begins with these steps.
DO.adopt = function(w)
  for _, id in ipairs(w[2]) do
    steps.write(id, w[3])
  end
end

-- {'signal', id, signal, JSON}: behind those the job has, if it is there and this one is not.
DO.signal = function(w)
  local key = R .. ':signals:' .. w[2]
  if redis.call('EXISTS', R .. ':j:' .. w[2]) == 1 then
    redis.call('HSETNX', key, w[3], redis.call('HLEN', key) + 1 .. ' ' .. w[4])
  end
end

-- {'forget_steps', id, revision}: how many there were; nil if the job lives, is not there or is another by
-- now.
DO.forget_steps = function(w)
  local f = redis.call('HMGET', R .. ':j:' .. w[2], 's', 'r')
  if not ENDED[f[1]] or tonumber(f[2]) ~= w[3] then return nil end
  local count = redis.call('HLEN', R .. ':steps:' .. w[2])
  redis.call('UNLINK', R .. ':steps:' .. w[2])
  return count
end

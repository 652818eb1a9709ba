-- Queues that exist, and whether they are paused.
local made = {}

-- One that is new, unless it is there.
function queues.make(queue)
  if made[queue] then return end
  made[queue] = true
  redis.call('HSETNX', R .. ':queues', queue, 0)
end

-- Write {'pause', queue, 0 or 1}.
DO.pause = function(w)
  redis.call('HSET', R .. ':queues', w[2], w[3])
end

-- Queues that exist, and whether they are paused.
-- Write {'pause', queue, 0 or 1}.
DO.pause = function(w)
  redis.call('HSET', R .. ':queues', w[2], w[3])
end

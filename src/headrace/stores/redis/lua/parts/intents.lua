-- What an op has decided in one partition and owes to others: kept until it is done, and done once.
--# use core
local KEPT_MS = 24 * 3600 * 1000

-- {'intend', id, text}
DO.intend = function(w) redis.call('HSET', R .. ':intents', w[2], w[3]) end

-- {'fulfilled', id}
DO.fulfilled = function(w) redis.call('HDEL', R .. ':intents', w[2]) end

-- {'once', id, now}: refuses what was done here before.
CHECK.once = function(w)
  if redis.call('ZSCORE', R .. ':once', w[2]) then return {'refused', 'done'} end
end

DO.once = function(w)
  redis.call('ZREMRANGEBYSCORE', R .. ':once', '-inf', w[3] - KEPT_MS)
  redis.call('ZADD', R .. ':once', w[3], w[2])
end

-- What the partitions of a namespace must agree on.
--# use core

-- {'partition', queue, wanted}: how many partitions the queue has. One that had jobs before anybody said has one.
DO.partition = function(w)
  local key, queue, wanted = R .. ':partitions', w[2], w[3]
  local kept = redis.call('HGET', key, queue)
  if kept then return tonumber(kept) end
  if redis.call('HEXISTS', R .. ':queues', queue) == 1 then
    for _, field in ipairs(redis.call('HKEYS', R .. ':tally')) do
      if field:sub(1, #queue + 1) == queue .. US then wanted = 1 end
    end
  end
  redis.call('HSET', key, queue, wanted)
  return wanted
end

-- {'limits_as', value, revision}: takes over the definitions of limits, unless newer ones are there.
DO.limits_as = function(w)
  local key = R .. ':r:limits'
  if (tonumber(redis.call('HGET', key, 'n') or '') or 0) < w[3] then redis.call('HSET', key, 'v', w[2], 'n', w[3]) end
end

-- {'registers_beyond', revision}: a register that is made from here on, or made again, has a higher one.
DO.registers_beyond = function(w)
  local key = R .. ':rgone'
  if tonumber(redis.call('GET', key) or 0) < w[2] then redis.call('SET', key, core.num(w[2])) end
end

-- {'log_as', epoch, since, keep_ms, keep_count}: keeps a log like another partition's, unless it does.
DO.log_as = function(w)
  local key = R .. ':log'
  if (tonumber(redis.call('HGET', key, 'epoch') or '') or 0) < w[2] then
    redis.call('DEL', R .. ':changes')
    redis.call('HSET', key, 'epoch', w[2], 'since', w[3], 'keep_ms', w[4], 'keep_count', w[5])
  end
end

-- {'log_beyond', number}: what is logged from here on has a higher number.
DO.log_beyond = function(w)
  local key = R .. ':log'
  if (tonumber(redis.call('HGET', key, 'number') or '') or 0) < w[2] then redis.call('HSET', key, 'number', w[2]) end
end

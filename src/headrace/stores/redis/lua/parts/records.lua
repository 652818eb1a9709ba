-- Records: JSON texts by kind and key; and the receipts, which go with time like them.
-- Write {'records', kind, {{key, at, until or nothing, text}, …}}: one with the same key is replaced.
DO.records = function(w)
  local kind = w[2]
  for _, record in ipairs(w[3]) do
    local key, at, till = record[1], core.num(record[2]), core.some(record[3])
    redis.call('HSET', R .. ':rec:' .. kind, key, record[4])
    redis.call('ZADD', R .. ':recat:' .. kind, at, key)
    if till then
      redis.call('ZADD', R .. ':recuntil', core.num(till), kind .. US .. key)
    else
      redis.call('ZREM', R .. ':recuntil', kind .. US .. key)
    end
  end
end

local function remove(kind, key)
  redis.call('ZREM', R .. ':recat:' .. kind, key)
  redis.call('ZREM', R .. ':recuntil', kind .. US .. key)
  return redis.call('HDEL', R .. ':rec:' .. kind, key)
end

-- Write {'unrecord', kind, {key, …}}. Answer: how many there were.
DO.unrecord = function(w)
  local count = 0
  for _, key in ipairs(w[3]) do
    count = count + remove(w[2], key)
  end
  return count
end

-- Write {'trim', now, limit}: records and receipts whose time has passed. Answer: how many.
DO.trim = function(w)
  local now, limit = core.num(w[2]), w[3]
  local old = redis.call('ZRANGEBYSCORE', R .. ':recuntil', '-inf', now, 'LIMIT', 0, limit)
  for _, member in ipairs(old) do
    remove(member:match('^([^' .. US .. ']*)' .. US .. '(.*)$'))
  end
  local used = redis.call('ZRANGEBYSCORE', R .. ':receipts', '-inf', now, 'LIMIT', 0, limit - #old)
  for _, key in ipairs(used) do
    redis.call('DEL', R .. ':receipt:' .. key)
    redis.call('ZREM', R .. ':receipts', key)
  end
  return #old + #used
end

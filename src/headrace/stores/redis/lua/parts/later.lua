-- Jobs that are due later, and become due.

-- Where jobs of a rank are, and with which score: nobody is claimed before its rank.
function later.place(queue, due, rank, now)
  local at = math.max(due, rank)
  if now and at <= now then return R .. ':q:' .. queue .. ':ready', 0 end
  return R .. ':q:' .. queue .. ':later', at
end

-- To those that are ready, or to those that are due later.
function jobs.wait(queue, member, due, now)
  local key, score = later.place(queue, due, tonumber(member:sub(8, 23)), now)
  core.zadd(key, score, member)
end

-- Makes jobs of a queue ready that have become due, up to 1,000; returns how many it were.
function jobs.move_due(queue, now)
  local later = R .. ':q:' .. queue .. ':later'
  local due = redis.call('ZRANGEBYSCORE', later, '-inf', now, 'LIMIT', 0, 1000)
  if not due[1] then return 0 end
  local ready = {}
  for n, member in ipairs(due) do ready[2 * n - 1], ready[2 * n] = 0, member end
  redis.call('ZREM', later, unpack(due))
  redis.call('ZADD', R .. ':q:' .. queue .. ':ready', unpack(ready))
  return #due
end

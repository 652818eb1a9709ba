-- Makes jobs wait for others; see flows.lua.
--# use core
local WAITED_ON = 2 ^ 30 -- core.job.WAITED_ON

-- {'link', {{child, {{number, parent, policy}, …}}, …}, {parent that this op does not insert, …}}
CHECK.link = function(w)
  for _, parent in ipairs(w[3]) do
    if redis.call('EXISTS', R .. ':j:' .. parent) == 0 then return {'missing', parent} end
  end
end

DO.link = function(w)
  local parents = {}
  for _, one in ipairs(w[2]) do
    local child, up = one[1], R .. ':up:' .. one[1]
    local seq = redis.call('HGET', R .. ':j:' .. child, 'i')
    for _, edge in ipairs(one[2]) do
      redis.call('HSET', up, edge[1], edge[3] .. ' ' .. edge[2])
      redis.call('ZADD', R .. ':down:' .. edge[2], seq, child)
      parents[edge[2]] = true
    end
    redis.call('ZADD', R .. ':waiting', seq, child)
  end
  for parent in pairs(parents) do
    local key = R .. ':j:' .. parent
    if tonumber(redis.call('HGET', key, 'r')) < WAITED_ON then redis.call('HINCRBY', key, 'r', WAITED_ON) end
  end
end

-- {'end_waiting', {seq, …}}: how many there were.
DO.end_waiting = function(w)
  local count = 0
  for _, seq in ipairs(w[2]) do
    count = count + redis.call('ZREMRANGEBYSCORE', R .. ':waiting', seq, seq)
  end
  return count
end

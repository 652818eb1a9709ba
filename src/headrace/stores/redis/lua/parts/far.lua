-- Jobs that wait for jobs of other partitions: like flows.lua and linking.lua, but for what is not here.
--# use core
local WAITED_ON = 2 ^ 30 -- core.job.WAITED_ON

-- {'await', {{child, {{number, parent, policy}, …}}, …}}: only of children that are here.
DO.await = function(w)
  for _, one in ipairs(w[2]) do
    local child = one[1]
    local seq = redis.call('HGET', R .. ':j:' .. child, 'i')
    if seq then
      for _, edge in ipairs(one[2]) do
        redis.call('HSET', R .. ':up:' .. child, edge[1], edge[3] .. ' ' .. edge[2])
        redis.call('ZADD', R .. ':down:' .. edge[2], seq, child)
      end
      redis.call('ZADD', R .. ':waiting', seq, child)
    end
  end
end

-- {'waited_on', {id, …}}: those of the jobs that are here are waited for.
DO.waited_on = function(w)
  for _, id in ipairs(w[2]) do
    local key = R .. ':j:' .. id
    local revision = tonumber(redis.call('HGET', key, 'r') or '')
    if revision and revision < WAITED_ON then redis.call('HINCRBY', key, 'r', WAITED_ON) end
  end
end

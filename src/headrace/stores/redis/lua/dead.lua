-- A page of dead letters, the latest death first. ARGV: 1 and 2 the instant and the seq that all are below, 3
-- the instant from which on, 4 how many to look at, 5 how many to find, 6 the filter: types, queues, batch.
-- Reply: how many were looked at, the instant and the seq of the last of them, the rows of those that fit.
--# use dead rows
local limit, wanted = tonumber(ARGV[5]), cjson.decode(ARGV[6])
local reply = {0, '', ''}

local function fits(id)
  if dead.dealt_with(id) then return false end
  local f = redis.call('HMGET', R .. ':j:' .. id, 't', 'q', 'b')
  return f[1]
    and (not wanted.types or wanted.types[f[1]])
    and (not wanted.queues or wanted.queues[f[2]])
    and (not wanted.batch or wanted.batch == f[3])
end

reply[1], reply[2], reply[3] = dead.walk(ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), function(id)
  if fits(id) then reply[#reply + 1] = jobs.row(id) end
  return #reply - 3 == limit
end)
return reply

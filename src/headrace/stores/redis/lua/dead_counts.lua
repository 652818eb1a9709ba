-- How many jobs failed for good, by type and queue. ARGV: 1 and 2 the instant and the seq that all are below,
-- 3 the instant from which on, 4 how many to look at, 5 what stands in a permanent error, 6 '1' to count dead
-- letters only. Reply: how many were looked at, the instant and the seq of the last of them, then for each
-- type and queue {type, queue, count, permanent, first_at, last_at, last_id}.
--# use dead
local reply, known = {0, '', ''}, {}

local function count(id, at)
  if ARGV[6] == '1' and dead.dealt_with(id) then return end
  local f = redis.call('HMGET', R .. ':j:' .. id, 't', 'q', 'l')
  if not f[1] then return end
  local name = f[1] .. US .. f[2]
  local one = known[name]
  if not one then
    one = {f[1], f[2], 0, 0, at, at, id}
    known[name], reply[#reply + 1] = one, one
  end
  one[3] = one[3] + 1
  if f[3]:find(ARGV[5], 1, true) then one[4] = one[4] + 1 end
  one[5] = at
  if at == one[6] and id > one[7] then one[7] = id end
end

local looked, at, seq = dead.walk(ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), count)
reply[1], reply[2], reply[3] = looked, at, seq
return reply

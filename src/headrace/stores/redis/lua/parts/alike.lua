-- Jobs that a lane refuses as it has refused one that wishes the same: they are parked unseen, out of the way of claims.
--# use passing parking
local PAGE = 500

-- {'park_alike', queue, type, wishes or nothing, lane as in `passing`, {seq to be spared, …}, how far it is looked ahead,
--  how many at most}: how many more of the jobs due next wait on the lane now.
CHECK.park_alike = function(w)
  if not passing.is_closed(w[5]) then return {'again'} end
end

DO.park_alike = function(w)
  local queue, type, wished, most, spared, count = w[2], w[3], w[4], w[8], {}, 0
  for _, seq in ipairs(w[6]) do spared[seq] = true end
  for first = 0, w[7] - 1, PAGE do
    local page = redis.call('ZRANGE', R .. ':q:' .. queue .. ':ready', first, math.min(first + PAGE, w[7]) - 1)
    for _, member in ipairs(page) do
      if member:sub(41, -38) == type and not spared[tonumber(member:sub(24, 39))] then
        local f = redis.call('HMGET', R .. ':j:' .. member:sub(-36), 'g', 'r')
        if f[1] == wished then
          jobs.park(queue, member, w[5][1], f[2])
          count = count + 1
          if count == most then return count end
        end
      end
    end
    if #page < PAGE then return count end
  end
  return count
end

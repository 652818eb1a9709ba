-- The look of a claim: due jobs of the types asked for, in order.
--# use jobs

local PAGE, FARTHEST, MOVES = 100, 5000, 10

-- False if so many were due that not all could be made ready now.
function claims.make_due(queue, now)
  for _ = 1, MOVES do
    if jobs.move_due(queue, now) < 1000 then return true end
  end
  return false
end

-- Adds up to so many {queue, member} of these types to found, from the first or after a member, and the other
-- types to unknown. Returns the last member looked at if the queue goes on there and it has to be looked further.
function claims.look(queue, most, after, types, found, unknown)
  local key, from, taken, seen = R .. ':q:' .. queue .. ':ready', after and '(' .. after or '-', 0, 0
  local last
  while taken < most do
    if seen >= FARTHEST then return last end
    local page = redis.call('ZRANGEBYLEX', key, from, '+', 'LIMIT', 0, math.max(PAGE, most - taken))
    for _, member in ipairs(page) do
      last = member
      local type = member:sub(41, -38)
      if types[type] then
        taken = taken + 1
        found[#found + 1] = {queue, member}
        if taken == most then return nil end
      else
        unknown[type] = true
      end
    end
    if #page < PAGE then return nil end
    seen, from = seen + #page, '(' .. last
  end
  return nil
end

local function before(one, other) return one[2]:sub(1, 39) < other[2]:sub(1, 39) end

function claims.sort(found) table.sort(found, before) end

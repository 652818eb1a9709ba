-- The edges in which some jobs are child or parent, where both are there. ARGV: 1 how many at most, then ids.
-- Reply: {child, parent, number, policy} for each.
--# use flows
local limit, reply, known = tonumber(ARGV[1]), {}, {}

local function add(child, edge)
  local name = child .. ' ' .. edge[1]
  if #reply < limit and not known[name] and redis.call('EXISTS', R .. ':j:' .. edge[2]) == 1 then
    known[name] = true
    reply[#reply + 1] = {child, edge[2], edge[1], edge[3]}
  end
end

local function above(child, parent)
  for _, edge in ipairs(flows.parents(child)) do
    if #reply == limit then return end
    if not parent or edge[2] == parent then add(child, edge) end
  end
end

for n = 2, #ARGV do
  local id = ARGV[n]
  above(id)
  for _, child in ipairs(redis.call('ZRANGE', R .. ':down:' .. id, 0, limit - 1)) do
    if #reply == limit then break end
    above(child, id)
  end
end
return reply

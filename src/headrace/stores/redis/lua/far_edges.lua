-- The edges of children that are here, in which some jobs are child or parent, wherever those are.
-- ARGV: 1 how many at most, then ids. Reply: {child, parent, number, policy} for each.
--# use flows
local limit, reply, known = tonumber(ARGV[1]), {}, {}
local function above(child, parent)
  for _, edge in ipairs(flows.parents(child)) do
    local name = child .. ' ' .. edge[1]
    if #reply < limit and not known[name] and (not parent or edge[2] == parent) then
      known[name] = true
      reply[#reply + 1] = {child, edge[2], edge[1], edge[3]}
    end
  end
end
for n = 2, #ARGV do
  above(ARGV[n])
  for _, child in ipairs(redis.call('ZRANGE', R .. ':down:' .. ARGV[n], 0, limit - 1)) do above(child, ARGV[n]) end
end
return reply

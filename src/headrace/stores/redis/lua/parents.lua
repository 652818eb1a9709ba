-- The next parents of a job. ARGV: 1 its id, 2 the number beyond which, 3 how many.
-- Reply: {number, row} for each, in order; of one that is erased only the number.
--# use rows flows
local reply, after, limit = {}, tonumber(ARGV[2]), tonumber(ARGV[3])
for _, edge in ipairs(flows.parents(ARGV[1])) do
  if #reply == limit then break end
  if edge[1] > after then
    reply[#reply + 1] = {edge[1], jobs.row(edge[2]) or nil}
  end
end
return reply

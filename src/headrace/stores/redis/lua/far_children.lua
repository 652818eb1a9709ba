-- Those of some jobs that are blocked and wait for others, wherever these are. ARGV: ids.
-- Reply: for each of them its row, then its parents in order: {number, parent, policy}.
--# use rows flows
local reply = {}
for _, child in ipairs(ARGV) do
  if redis.call('HGET', R .. ':j:' .. child, 's') == State.BLOCKED then
    local parents = flows.parents(child)
    if parents[1] then reply[#reply + 1] = {jobs.row(child), parents} end
  end
end
return reply

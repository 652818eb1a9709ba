-- Which of some jobs are needed by a child that is here and lives, or stays until somebody deals with it.
-- ARGV: ids. Reply: those ids.
--# use flows
local reply = {}
for _, id in ipairs(ARGV) do
  if flows.needed_by_child(id) then reply[#reply + 1] = id end
end
return reply

-- Which of some jobs are here. ARGV: ids. Reply: 1 or 0 for each.
local reply = {}
for n, id in ipairs(ARGV) do reply[n] = redis.call('EXISTS', R .. ':j:' .. id) end
return reply

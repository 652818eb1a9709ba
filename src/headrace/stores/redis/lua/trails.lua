-- The trails of jobs. ARGV: ids. Reply: a text or null for each.
local found = {}
for n, id in ipairs(ARGV) do found[n] = redis.call('HGET', R .. ':j:' .. id, 'h') end
return found

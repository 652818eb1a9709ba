-- Registers of a kind that are due, the earliest first. ARGV: 1 the kind, 2 now, 3 how many.
-- Reply: a row of each: key, value, revision, due_at.
--# use registers
local found = {}
local due = redis.call('ZRANGEBYSCORE', R .. ':rdue:' .. ARGV[1], '-inf', ARGV[2], 'LIMIT', 0, ARGV[3])
for _, key in ipairs(due) do
  found[#found + 1] = registers.row(key)
end
return found

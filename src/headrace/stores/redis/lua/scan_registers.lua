-- Registers in the order of their keys. ARGV: 1 and 2 the first and last key, as ranges by text are written, 3 how many.
-- Reply: a row of each: key, value, revision, due_at.
--# use registers
local found = {}
for _, key in ipairs(redis.call('ZRANGEBYLEX', R .. ':rs', ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])) do
  found[#found + 1] = registers.row(key)
end
return found

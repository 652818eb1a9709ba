-- The registers of these keys. ARGV: the keys. Reply: a row of each one that exists: key, value, revision, due_at.
--# use registers
local found = {}
for _, key in ipairs(ARGV) do
  found[#found + 1] = registers.row(key) or nil
end
return found

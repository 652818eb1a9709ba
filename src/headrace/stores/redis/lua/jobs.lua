-- Jobs by id, in order. ARGV: ids. Reply: a row for each, null for one that is not there.
--# use rows
local found = {}
for n, id in ipairs(ARGV) do found[n] = rows.of(id) end
return found

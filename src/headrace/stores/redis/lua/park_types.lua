-- Parks the first due jobs of some types. ARGV: queue, JSON of the types, the member after which to begin or '',
-- how many at most, what the lanes of types begin with. Reply: {how many, the member to go on after or ''}.
--# use claims parking
local queue, types, found, unknown = ARGV[1], {}, {}, {}
for _, name in ipairs(cjson.decode(ARGV[2])) do types[name] = true end
local after = core.some(ARGV[3])
local last = claims.look(queue, tonumber(ARGV[4]), after, types, found, unknown)
for _, one in ipairs(found) do jobs.park(queue, one[2], ARGV[5] .. one[2]:sub(41, -38)) end
core.flush()
if #found == tonumber(ARGV[4]) then last = found[#found][2] end
return {#found, last or ''}

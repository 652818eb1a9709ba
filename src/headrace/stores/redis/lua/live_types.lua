-- What workers know that were seen since an instant. ARGV[1]: the instant. Reply: names of types.
--# use workers
local found = {}
for name in pairs(workers.known_types(tonumber(ARGV[1]))) do found[#found + 1] = name end
return found

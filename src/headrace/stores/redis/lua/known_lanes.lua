-- The lanes on which jobs wait for a type that a live worker knows. ARGV: 1 since when it must have been seen,
-- 2 what the name of such a lane begins with. Reply: the lanes.
--# use workers
local found = {}
for name in pairs(workers.known_types(tonumber(ARGV[1]))) do
  local lane = ARGV[2] .. name
  if #redis.call('ZRANGEBYLEX', R .. ':parkings', '[' .. lane .. US, '(' .. lane .. ' ', 'LIMIT', 0, 1) > 0 then
    found[#found + 1] = lane
  end
end
return found

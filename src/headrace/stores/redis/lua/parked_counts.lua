-- How many jobs wait on lanes. ARGV: 1 the place after which to begin, 2 how many places.
-- Reply: places and counts in turn, a place being lane and queue.
local found = {}
for _, place in ipairs(redis.call('ZRANGEBYLEX', R .. ':parkings', ARGV[1], '+', 'LIMIT', 0, ARGV[2])) do
  found[#found + 1] = place
  found[#found + 1] = redis.call('ZCARD', R .. ':parked:' .. place)
end
return found

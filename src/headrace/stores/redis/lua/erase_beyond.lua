-- Erases the oldest jobs of a type that ended in a state, never the newest. ARGV: 1 state, 2 type, 3 how many
-- stay, 4 how many of the oldest are known to be needed, 5 how many to erase, 6 how many to look at. Reply:
-- how many were looked at, were erased, are needed.
--# use erasing
local key, first = R .. ':ended:' .. ARGV[1] .. ':' .. ARGV[2], tonumber(ARGV[4])
local beyond = redis.call('ZCARD', key) - tonumber(ARGV[3]) - first
local ids = {}
if beyond > 0 then
  ids = redis.call('ZRANGE', key, first, first + math.min(beyond, tonumber(ARGV[6])) - 1)
end
return erasing.erase(ids, tonumber(ARGV[5]))

-- How many due jobs of a queue come before a place. ARGV: queue, the first 39 characters of a member that stands there,
-- now, how far it is counted. Reply: how many.

local queue, place, now, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local PAGE = 1000
local count = redis.call('ZLEXCOUNT', R .. ':q:' .. queue .. ':ready', '-', '(' .. place)
local offset = 0
while count < limit do -- due by now as well, though no claim has moved them yet
  local due = redis.call('ZRANGEBYSCORE', R .. ':q:' .. queue .. ':later', '-inf', now, 'LIMIT', offset, PAGE)
  for _, member in ipairs(due) do
    if member < place then count = count + 1 end
  end
  if #due < PAGE then break end
  offset = offset + PAGE
end
return math.min(count, limit)

-- The members of a sorted set whose ranks lie between two, in claim order, of its best priorities.
-- ARGV: key, the lowest rank, the lowest that is too high (16 digits each), how many at most, of how many priorities.
-- Reply: members.

local key, low, high = ARGV[1], ARGV[2], ARGV[3]
local limit = tonumber(ARGV[4])
local found, from = {}, '-'
for _ = 1, tonumber(ARGV[5]) do
  local first = redis.call('ZRANGEBYLEX', key, from, '+', 'LIMIT', 0, 1)[1]
  if not first or #found >= limit then break end
  local priority = first:sub(1, 7)
  local here = redis.call(
    'ZRANGEBYLEX', key, '[' .. priority .. low, '(' .. priority .. high, 'LIMIT', 0, limit - #found
  )
  for _, member in ipairs(here) do found[#found + 1] = member end
  from = '[' .. priority .. ':' -- the character after the digits
end
return found

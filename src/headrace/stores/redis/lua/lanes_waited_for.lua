-- The next lanes on which jobs wait and of which something is kept.
-- ARGV: 1 after which lane, 2 how many at most, 3 what lanes begin with of which nothing is ever kept (array).
-- Reply: the lanes; and after which one to go on, if there may be more.
--# use core
local AT_ONCE = 1000
local limit, none_kept = tonumber(ARGV[2]), cjson.decode(ARGV[3])
local found, lane = {}, ARGV[1]

-- Places go by lane, then by queue; so those of one lane lie before the lane with a blank behind it.
local function after(last)
  for _, prefix in ipairs(none_kept) do
    if last:sub(1, #prefix) == prefix then return '(' .. prefix .. '\255' end
  end
  return '(' .. last .. ' '
end

for _ = 1, AT_ONCE do
  local place = redis.call('ZRANGEBYLEX', R .. ':parkings', lane == '' and '-' or after(lane), '+', 'LIMIT', 0, 1)[1]
  if not place then return {found, false} end
  lane = place:sub(1, place:find(US, 1, true) - 1)
  if redis.call('ZSCORE', R .. ':lanes', lane) then found[#found + 1] = lane end
  if #found == limit then break end
end
return {found, lane}

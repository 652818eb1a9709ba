-- Which of some jobs are needed by a child that is here and lives, or stays until somebody deals with it.
-- ARGV: ids. Reply: those ids.
local AT_ONCE = 500
local function needed(id)
  local down, from = R .. ':down:' .. id, 0
  while true do
    local children = redis.call('ZREVRANGE', down, from, from + AT_ONCE - 1)
    if #children == 0 then return false end
    for _, erase_at in ipairs(redis.call('ZMSCORE', R .. ':erase', unpack(children))) do
      if not erase_at then return true end
    end
    from = from + AT_ONCE
  end
end
local reply = {}
for _, id in ipairs(ARGV) do
  if needed(id) then reply[#reply + 1] = id end
end
return reply

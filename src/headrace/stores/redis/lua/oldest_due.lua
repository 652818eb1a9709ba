-- Since when the heads of queues have waited, of at most as many priorities as a claim looks at.
-- ARGV: 1 now, 2 how many priorities, then the queues. Reply: an instant for each, or ''.
local now, levels = tonumber(ARGV[1]), tonumber(ARGV[2])

local function due_of(member)
  return tonumber(redis.call('HGET', R .. ':j:' .. member:sub(-36), 'd') or '')
end

local function oldest_in(queue)
  local later = redis.call('ZRANGEBYSCORE', R .. ':q:' .. queue .. ':later', '-inf', ARGV[1], 'LIMIT', 0, 1)
  local oldest = later[1] and due_of(later[1])
  local from = '-'
  for _ = 1, levels do
    local head = redis.call('ZRANGEBYLEX', R .. ':q:' .. queue .. ':ready', from, '+', 'LIMIT', 0, 1)[1]
    if not head then
      break
    end
    local due = due_of(head)
    if due and due <= now and (not oldest or due < oldest) then
      oldest = due
    end
    from = '(' .. head:sub(1, 7) .. ':' -- the colon comes after all digits
  end
  return oldest and string.format('%.0f', oldest) or ''
end

local found = {}
for i = 3, #ARGV do
  found[#found + 1] = oldest_in(ARGV[i])
end
return found

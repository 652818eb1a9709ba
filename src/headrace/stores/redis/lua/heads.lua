-- The lowest rank that waits in each of these priorities of queues, due or parked on one of these lanes.
-- ARGV: {{queue, the priority as members begin with it}, …} and {lane, …}, as JSON. Reply: for each its rank as text,
-- or nil.

local levels, lanes = cjson.decode(ARGV[1]), cjson.decode(ARGV[2])

local function rank_of(key, priority)
  local first = redis.call('ZRANGEBYLEX', key, '[' .. priority, '(' .. priority .. ':', 'LIMIT', 0, 1)[1]
  return first and first:sub(8, 23)
end

local heads = {}
for index, level in ipairs(levels) do
  local queue, priority = level[1], level[2]
  local head = rank_of(R .. ':q:' .. queue .. ':ready', priority) or false
  for _, lane in ipairs(lanes) do
    local parked = rank_of(core.parked(lane, queue), priority)
    if parked and (not head or parked < head) then head = parked end
  end
  heads[index] = head
end
return heads

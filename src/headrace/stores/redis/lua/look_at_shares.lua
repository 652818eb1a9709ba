-- What a partition has of limits that are shared, and what goes on under them. ARGV[1]: lanes, as an array.
-- Reply: whether it owes anything to other partitions; of each lane nothing if it is not shared, else: version, tat, slots
-- and rate that are here, slots to leave, when and at which tat anything came last, how many hold a slot, how many
-- wait in queues that are not paused, the numbers of slots and of rates that are kept, and when slots were recalled last.
--# use sharing lanes
local function waiting(lane)
  local count = 0
  for _, queue in ipairs(lanes.queues(lane)) do
    if redis.call('HGET', R .. ':queues', queue) ~= '1' then count = count + redis.call('ZCARD', core.parked(lane, queue)) end
  end
  return count
end

local reply = {redis.call('EXISTS', R .. ':intents'), {}}
for n, lane in ipairs(cjson.decode(ARGV[1])) do
  local slots, rate = sharing.owned(lane)
  local row = false
  if slots ~= nil then
    local version, tat = unpack(redis.call('HMGET', R .. ':lane:' .. lane, 'v', 'tat'))
    local since, at, recalled = unpack(redis.call('HMGET', R .. ':shares', 't ' .. lane, 'a ' .. lane, 'c ' .. lane))
    row = {version, tat, slots, rate, sharing.number('l ' .. lane), since, at, redis.call('ZCARD', R .. ':slots:' .. lane),
      waiting(lane), sharing.number('s ' .. lane), sharing.number('r ' .. lane), recalled}
  end
  reply[2][n] = row
end
return reply

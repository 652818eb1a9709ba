-- Lanes in numbers, for people.
-- ARGV: 1 the lanes, 2 for each 1 if it is that of an ordering key (arrays), 3 how many holders are named.
-- Reply: for each how many hold it, how many wait on it, the ids of the first holders, and of the first that waits.
--# use waited orders
local named = tonumber(ARGV[3])
local in_turn = cjson.decode(ARGV[2])

local function parked(lane)
  local count, best = 0, nil
  for _, queue in ipairs(lanes.queues(lane)) do
    local key = core.parked(lane, queue)
    local first = redis.call('ZRANGE', key, 0, 0)[1]
    count = count + redis.call('ZCARD', key)
    if not best or first < best then best = first end
  end
  return count, best and best:sub(-36) or false
end

local reply = {}
for n, lane in ipairs(cjson.decode(ARGV[1])) do
  local count, best = parked(lane)
  if in_turn[n] == 1 then
    local holder = orders.holder_id(lane)
    reply[n] = {holder and 1 or 0, count, {holder}, best and orders.first_on(lane) or best}
  else
    local slots = R .. ':slots:' .. lane
    reply[n] = {redis.call('ZCARD', slots), count, redis.call('ZRANGE', slots, 0, named - 1), best}
  end
end
return reply

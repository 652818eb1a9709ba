-- Looks at lanes and ordering keys, for whoever decides who may start.
-- ARGV: 1 lanes and 2 ordering keys, as arrays; 3 now; 4 what the lane of a batch begins with.
-- Reply: the revision of the definitions. Of each lane: version, tat, opens_at, cap, how many hold a slot, and in which
-- queues jobs wait: {queue, the best one's member, how many}. Of each ordering key: version, whether one of it runs, the
-- seq of who has begun and keeps the others waiting, the seq of who is the first, and after which seq he is to be looked
-- for, if it is not known yet; whether jobs wait on it.
--# use waited orders
local now = tonumber(ARGV[3])

local function waiting(lane)
  local found = {}
  for n, queue in ipairs(lanes.queues(lane)) do
    local parked = core.parked(lane, queue)
    found[n] = {queue, redis.call('ZRANGE', parked, 0, 0)[1], redis.call('ZCARD', parked)}
  end
  return found
end

local reply = {redis.call('HGET', R .. ':r:limits', 'n') or '0', {}, {}}
for n, lane in ipairs(cjson.decode(ARGV[1])) do
  local row = redis.call('HMGET', R .. ':lane:' .. lane, 'v', 'tat', 'opens_at', 'cap')
  row[5] = redis.call('ZCARD', R .. ':slots:' .. lane)
  row[6] = waiting(lane)
  reply[2][n] = row
end
for n, lane in ipairs(cjson.decode(ARGV[2])) do
  local version = redis.call('HGET', R .. ':lane:' .. lane, 'v')
  local runs, begun = orders.holder(lane)
  local first, after = false, false
  if not runs and not begun then first, after = orders.first(lane, '-inf', now, ARGV[4]) end
  reply[3][n] = {version, runs and 1 or 0, begun, first, after, lanes.are_waited_for(lane) and 1 or 0}
end
return reply

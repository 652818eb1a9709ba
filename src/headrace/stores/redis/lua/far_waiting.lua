-- The next of the children that are noted as waiting. ARGV: 1 the seq beyond which, 2 how many.
-- Reply: {seq, id, whether it is blocked} for each.
local found = redis.call('ZRANGEBYSCORE', R .. ':waiting', '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local reply = {}
for n = 1, #found, 2 do
  local blocked = redis.call('HGET', R .. ':j:' .. found[n], 's') == State.BLOCKED
  reply[#reply + 1] = {found[n + 1], found[n], blocked and 1 or 0}
end
return reply

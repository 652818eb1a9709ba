-- The next of the children that are noted as waiting. ARGV: 1 the seq beyond which, 2 how many. Reply:
-- whether there may be more, then {seq, id, whether it is blocked, whether a parent of it lives} for each.
-- Ends early after some looks at parents, however many a child has.
--# use flows
local MOST_LOOKS = 10000
local past, limit = '(' .. ARGV[1], ARGV[2]
local found = redis.call('ZRANGEBYSCORE', R .. ':waiting', past, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
local reply, looks = {#found == 2 * tonumber(limit) and 1 or 0}, 0
for n = 1, #found, 2 do
  if looks > MOST_LOOKS then
    reply[1] = 1
    break
  end
  local child = found[n]
  local blocked, lives, looked = redis.call('HGET', R .. ':j:' .. child, 's') == State.BLOCKED, false, 1
  if blocked then
    lives, looked = flows.live_parent(child)
  end
  looks = looks + looked
  reply[#reply + 1] = {found[n + 1], child, blocked and 1 or 0, lives and 1 or 0}
end
return reply

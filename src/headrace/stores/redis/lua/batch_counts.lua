-- How many members of a batch are in each state. ARGV: 1 batch, 2 the seq beyond which.
-- Reply: the last seq looked at ('' at the end), then state, count, state, count, …
--# use core
local AT_ONCE = 2000
local members = R .. ':batch:' .. ARGV[1]
local found = redis.call('ZRANGEBYSCORE', members, '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, AT_ONCE)
local counts, reply = {}, {#found == 2 * AT_ONCE and found[#found] or ''}
for n = 1, #found, 2 do
  local state = redis.call('HGET', R .. ':j:' .. found[n], 's')
  if state then counts[state] = (counts[state] or 0) + 1 end
end
for state, count in pairs(counts) do
  reply[#reply + 1] = state
  reply[#reply + 1] = count
end
return reply

-- The member of a batch, first in order of insertion, that is blocked or parked on a lane. ARGV: 1 batch, 2
-- lane, 3 the seq beyond which. Reply: the last seq looked at ('' at the end), the row if found.
--# use rows
local AT_ONCE = 500
local live = R .. ':batchlive:' .. ARGV[1]
local found = redis.call('ZRANGEBYSCORE', live, '(' .. ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', 0, AT_ONCE)
for n = 1, #found, 2 do
  local f = redis.call('HMGET', R .. ':j:' .. found[n], 's', 'x')
  if f[1] == State.BLOCKED or f[2] == ARGV[2] then
    return {'', jobs.row(found[n])}
  end
end
return {#found == 2 * AT_ONCE and found[#found] or ''}

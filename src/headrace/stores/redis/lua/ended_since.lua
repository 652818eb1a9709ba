-- Whether a member of a batch ended at an instant or later. ARGV: 1 batch, 2 instant, 3 the seq beyond which.
-- Reply: 1 or 0, the last seq looked at ('' at the end).
--# use core
local AT_ONCE = 500
local ENDED_AT = 12 -- of what rows.placement_text writes
local members = R .. ':batch:' .. ARGV[1]
local found = redis.call('ZRANGEBYSCORE', members, '(' .. ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', 0, AT_ONCE)
for n = 1, #found, 2 do
  local f = redis.call('HMGET', R .. ':j:' .. found[n], 's', 'l')
  if ENDED[f[1]] and cjson.decode(f[2])[ENDED_AT] >= tonumber(ARGV[2]) then
    return {1, ''}
  end
end
return {0, #found == 2 * AT_ONCE and found[#found] or ''}

-- Ended jobs that may be erased, as far as this partition knows. ARGV: 1 `erase` or a state, 2 now, or a type, 3 how many
-- of the newest stay, 4 how many of the first to pass over, 5 how many to look at.
-- Reply: {id, batch or '', whether it is waited for, seq} for each.
local WAITED_ON = 2 ^ 30 -- core.job.WAITED_ON
local first, look, ids = tonumber(ARGV[4]), tonumber(ARGV[5]), {}
if ARGV[1] == 'erase' then
  ids = redis.call('ZRANGEBYSCORE', R .. ':erase', '-inf', ARGV[2], 'LIMIT', first, look)
else
  local key = R .. ':ended:' .. ARGV[1] .. ':' .. ARGV[2]
  local beyond = redis.call('ZCARD', key) - tonumber(ARGV[3]) - first
  if beyond > 0 then ids = redis.call('ZRANGE', key, first, first + math.min(beyond, look) - 1) end
end
local reply = {}
for n, id in ipairs(ids) do
  local batch, revision, seq = unpack(redis.call('HMGET', R .. ':j:' .. id, 'b', 'r', 'i'))
  reply[n] = {id, batch or '', tonumber(revision or '0') >= WAITED_ON and 1 or 0, tonumber(seq or '0')}
end
return reply

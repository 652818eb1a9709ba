-- Registers of batches, newest first: their ids begin with the time. ARGV: 1 the key that all are below, 2
-- how many. Reply: {key, value, revision, due_at} for each.
--# use core
local reply = {}
local keys = redis.call('ZREVRANGEBYLEX', R .. ':rs', '(' .. ARGV[1], '[batch:', 'LIMIT', 0, ARGV[2])
for n, key in ipairs(keys) do
  local f = redis.call('HMGET', R .. ':r:' .. key, 'v', 'n', 'd')
  reply[n] = {key, f[1], f[2], f[3]}
end
return reply

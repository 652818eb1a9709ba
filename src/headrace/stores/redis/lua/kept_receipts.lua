-- Receipts, the longest kept first, so that none is passed over when those that are over are trimmed meanwhile.
-- ARGV: 1 how many to pass over, 2 how many. Reply: {key, id, body, until} for each.
local found = {}
for n, key in ipairs(redis.call('ZREVRANGE', R .. ':receipts', ARGV[1], ARGV[1] + ARGV[2] - 1)) do
  found[n] = {key, unpack(redis.call('HMGET', R .. ':receipt:' .. key, 'id', 'body', 'until'))}
end
return found

-- The next lanes, in the order of their keys. ARGV: 1 the key beyond which, 2 how many.
-- Reply: {key, tat, opens_at, cap} for each.
local found = {}
local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
for n, key in ipairs(redis.call('ZRANGEBYLEX', R .. ':lanes', from, '+', 'LIMIT', 0, ARGV[2])) do
  found[n] = {key, unpack(redis.call('HMGET', R .. ':lane:' .. key, 'tat', 'opens_at', 'cap'))}
end
return found

-- Which jobs may still be claimed. ARGV: 1 queues and members (array of pairs).
-- Reply: the revision of the definitions of limits, and 1 or 0 for each.
local found = {}
for n, one in ipairs(cjson.decode(ARGV[1])) do
  local open = redis.call('HGET', R .. ':queues', one[1]) ~= '1'
  found[n] = open and redis.call('ZSCORE', R .. ':q:' .. one[1] .. ':ready', one[2]) and 1 or 0
end
return {redis.call('HGET', R .. ':r:limits', 'n') or '0', found}

-- Deletes the oldest changes of a log as far as they are too old, too many, or before what is kept, and notes how far.
-- ARGV: now, how many at most. Reply: how many.

local log = redis.call('HMGET', R .. ':log', 'since', 'keep_ms', 'keep_count')
if not log[1] then return 0 end
local since, keep_count = tonumber(log[1]), tonumber(log[3])
local oldest_kept = tonumber(ARGV[1]) - tonumber(log[2])
local changes = R .. ':changes'
local too_many = redis.call('XLEN', changes) - keep_count
local worn, last, young = 0, nil, false
for index, entry in ipairs(redis.call('XRANGE', changes, '-', '+', 'COUNT', ARGV[2])) do
  local number = tonumber(entry[1]:match('^%d+'))
  young = young or tonumber(entry[2][2]) >= oldest_kept
  if young and index > too_many and number > since then break end
  worn, last = index, number
end
if worn > 0 then
  redis.call('XTRIM', changes, 'MINID', core.num(last + 1))
  if last > since then redis.call('HSET', R .. ':log', 'since', core.num(last)) end
end
if keep_count == 0 and redis.call('XLEN', changes) == 0 then redis.call('DEL', changes) end
return worn

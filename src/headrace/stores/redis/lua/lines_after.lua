-- What a job's handlers logged after a number. ARGV: id, the number ('': the latest), how many. Reply: the number to go on
-- with, and the lines; empty if there is no such job.

local id, limit = ARGV[1], tonumber(ARGV[3])
if redis.call('EXISTS', R .. ':j:' .. id) == 0 then return {} end
local key = R .. ':lines:' .. id
local dropped = tonumber(redis.call('HGET', R .. ':note:' .. id, 'lines_from') or '0') -- the oldest, to keep the latest
local after = tonumber(ARGV[2]) or math.max(0, dropped + redis.call('LLEN', key) - limit)
local first = math.max(0, after - dropped)
local lines = redis.call('LRANGE', key, first, first + limit - 1)
return {lines[1] and dropped + first + #lines or after, lines}

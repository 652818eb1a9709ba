-- What the handlers of a job logged. ARGV[1]: id. Reply: {1 if the job is there, lines}.
local id = ARGV[1]
return {redis.call('EXISTS', R .. ':j:' .. id) == 1 and 1 or false, redis.call('LRANGE', R .. ':lines:' .. id, 0, -1)}

-- All that a job has kept. ARGV: 1 its id. Reply: nil if it is not there, else its steps, and its signals.
--# use core
if redis.call('EXISTS', R .. ':j:' .. ARGV[1]) == 0 then return false end
return {redis.call('HVALS', R .. ':steps:' .. ARGV[1]), redis.call('HGETALL', R .. ':signals:' .. ARGV[1])}

-- Erases jobs whose time has come. ARGV: 1 now, 2 how many of them are known to be needed, 3 how many to
-- erase, 4 how many to look at. Reply: how many were looked at, were erased, are needed.
--# use erasing
local ids = redis.call('ZRANGEBYSCORE', R .. ':erase', '-inf', ARGV[1], 'LIMIT', ARGV[2], ARGV[4])
return erasing.erase(ids, tonumber(ARGV[3]))

-- A job and its trail. ARGV[1]: id. Reply: {row, trail}.
--# use rows
return {rows.of(ARGV[1]), redis.call('HGET', R .. ':j:' .. ARGV[1], 'h')}

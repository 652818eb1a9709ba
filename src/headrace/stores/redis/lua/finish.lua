-- Ends running jobs of one type and queue on which nothing hangs: no slot, unique lock, batch or ordering key. Whoever
-- asks for it has them as they were claimed, so a revision that still fits says that this is so.
-- ARGV: 1 state, 2 erase_at ('' for none), 3 queue, 4 type; then of each job id, seq, fence, revision and its placement
-- ('' where it is that of the job before). Reply: the numbers of those that the guard does not fit, or of all if there is a
-- log of changes: they are to be moved as any other.
--# use events
local state, erase, queue, type = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local gone, ended, erased, left, placement = {}, {}, {}, {}, nil
local prefix, plain = R .. ':j:', not events.is_kept()
core.go_on()

for n = 5, #ARGV, 5 do
  local id = ARGV[n]
  local key = prefix .. id
  local f = plain and redis.call('HMGET', key, 'n', 'r')
  if ARGV[n + 4] ~= '' then placement = ARGV[n + 4] end
  if f and f[1] == ARGV[n + 2] and f[2] == ARGV[n + 3] then
    redis.call('HSET', key, 's', state, 'l', placement, 'r', f[2] + 1, 'c', '')
    local many = #gone
    gone[many + 1] = id
    ended[2 * many + 1], ended[2 * many + 2] = ARGV[n + 1], id
    erased[2 * many + 1], erased[2 * many + 2] = erase, id
  else
    left[#left + 1] = (n - 5) / 5
  end
end

if gone[1] then
  redis.call('ZREM', R .. ':lease', unpack(gone))
  redis.call('ZREM', R .. ':live', unpack(gone))
  redis.call('ZADD', R .. ':ended:' .. state .. ':' .. type, unpack(ended))
  if erase ~= '' then redis.call('ZADD', R .. ':erase', unpack(erased)) end
  core.count(queue, type, State.PROCESSING, -#gone)
  core.count(queue, type, state, #gone)
  core.flush()
end
return left

-- What others ask of the jobs that they wait for. ARGV: ids.
-- Reply: for each its state, its type, and whether it stays until somebody deals with it; nothing if it is not here.
local reply = {}
for n, id in ipairs(ARGV) do
  local state, kind = unpack(redis.call('HMGET', R .. ':j:' .. id, 's', 't'))
  reply[n] = state and {state, kind, redis.call('ZSCORE', R .. ':erase', id) and 0 or 1} or {}
end
return reply

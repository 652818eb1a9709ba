-- Who holds unique locks. ARGV: locks. Reply: for each null, or {id, seq, revision, state, type}.
local found = {}
for n, lock in ipairs(ARGV) do
  local id = redis.call('GET', R .. ':u:' .. lock)
  local f = id and redis.call('HMGET', R .. ':j:' .. id, 'i', 'r', 's', 't')
  found[n] = f and f[1] and {id, f[1], f[2], f[3], f[4]} or false
end
return found

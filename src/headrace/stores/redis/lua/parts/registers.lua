-- Reads registers; see swapping.lua.

-- The row of a register: key, value, revision, due_at; nil if there is none.
function registers.row(key)
  local found = redis.call('HMGET', R .. ':r:' .. key, 'v', 'n', 'd')
  return found[2] and {key, found[1], found[2], found[3]}
end

-- Receipts by key, also those that are good no more. ARGV: keys. Reply: for each null, or {id, body, until}.
local found = {}
for n, key in ipairs(ARGV) do
  local f = redis.call('HMGET', R .. ':receipt:' .. key, 'id', 'body', 'until')
  found[n] = f[1] and f or false
end
return found

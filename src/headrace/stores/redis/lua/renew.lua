-- Moves the leases of those who still hold their jobs. ARGV: lease_until, id, fence, id, fence, …
-- Reply: for each 0 if it is held no more, 1 if it is, 2 if a cancel is asked.
local lease_until, answers = ARGV[1], {}
core.go_on()
for n = 2, #ARGV, 2 do
  local id = ARGV[n]
  local seen = redis.call('HMGET', R .. ':j:' .. id, 'n', 's', 'v')
  local held = seen[2] == State.PROCESSING and seen[1] == ARGV[n + 1]
  if held then redis.call('ZADD', R .. ':lease', lease_until, id) end
  answers[#answers + 1] = held and (core.some(seen[3]) and 2 or 1) or 0
end
return answers

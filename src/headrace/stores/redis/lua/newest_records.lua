-- Records of a kind, newest first, of one instant by key from the last to the first. ARGV: 1 the kind, 2 and 3 the
-- instant and key after which the page begins ('' for the newest), 4 how many. Reply: keys and texts in turn.
local index = R .. ':recat:' .. ARGV[1]

-- Texts are compared byte by byte, as sorted sets do: < goes by the language of the server.
local function greater(a, b)
  for i = 1, math.min(#a, #b) do
    if a:byte(i) ~= b:byte(i) then
      return a:byte(i) > b:byte(i)
    end
  end
  return #a > #b
end

-- How many come before the cursor, whose own record may be gone.
local function passed(at, key)
  local low = redis.call('ZCOUNT', index, '(' .. at, '+inf')
  local high = low + redis.call('ZCOUNT', index, at, at)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local other = redis.call('ZREVRANGE', index, middle, middle)[1]
    if other == key or greater(other, key) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

local from = ARGV[2] == '' and 0 or passed(ARGV[2], ARGV[3])
local found = {}
for _, key in ipairs(redis.call('ZREVRANGE', index, from, from + ARGV[4] - 1)) do
  found[#found + 1] = key
  found[#found + 1] = redis.call('HGET', R .. ':rec:' .. ARGV[1], key)
end
return found

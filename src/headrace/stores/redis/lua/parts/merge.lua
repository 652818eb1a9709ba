-- Walks several indexes that are scored by seq at once, in order of seq.
--# use core

local function fill(head, walk)
  local past, limit, chunk = '(' .. head.past, walk.limit, walk.chunk
  head.at, head.found = 1, redis.call(walk.command, head.key, past, limit, 'WITHSCORES', 'LIMIT', 0, chunk)
end

-- The head that comes first, and its seq; nil at the end of all.
local function first_of(heads, walk)
  local best, least
  for n = #heads, 1, -1 do
    local head = heads[n]
    if head.at > #head.found and head.key and #head.found == 2 * walk.chunk then
      fill(head, walk)
    end
    local seq = tonumber(head.found[head.at + 1])
    if not seq then
      table.remove(heads, n)
    elseif not best or (seq < least) ~= walk.backwards then
      best, least = head, seq
    end
  end
  return best, least
end

-- Calls visit(id, seq) for all members beyond the seq `past` (text), until it answers true. An index is a
-- key, or what has been read of one: {id, seq, id, seq, …} in order. A member of several is visited once for
-- each. `chunk` is how many are read of each key at a time.
function merge.walk(indexes, past, backwards, chunk, visit)
  local walk = {command = 'ZRANGEBYSCORE', limit = '+inf', backwards = backwards, chunk = chunk}
  if backwards then
    walk.command, walk.limit = 'ZREVRANGEBYSCORE', '-inf'
  end
  local heads = {}
  for n, index in ipairs(indexes) do
    if type(index) == 'table' then
      heads[n] = {found = index, at = 1}
    else
      heads[n] = {key = index, past = past}
      fill(heads[n], walk)
    end
  end
  local head, seq = first_of(heads, walk)
  while head and not visit(head.found[head.at], seq) do
    head.past = head.found[head.at + 1]
    head.at = head.at + 2
    head, seq = first_of(heads, walk)
  end
end

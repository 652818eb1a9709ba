-- What jobs own besides their hash. ARGV: ids. Reply: for each null, or {trail, steps, signals, lines, edges}; edges
-- are {number, parent, policy}, of a parent that is erased ''.
--# use flows
local found = {}
for n, id in ipairs(ARGV) do
  found[n] = false
  if redis.call('EXISTS', R .. ':j:' .. id) == 1 then
    local edges = {}
    for m, edge in ipairs(flows.parents(id)) do
      local there = redis.call('EXISTS', R .. ':j:' .. edge[2]) == 1
      edges[m] = {edge[1], there and edge[2] or '', edge[3]}
    end
    found[n] = {
      redis.call('HGET', R .. ':j:' .. id, 'h'), redis.call('HVALS', R .. ':steps:' .. id),
      redis.call('HGETALL', R .. ':signals:' .. id), redis.call('LRANGE', R .. ':lines:' .. id, 0, -1), edges,
    }
  end
end
return found

-- Who waits for whom: `R:up:<child>` has number -> "policy parent", `R:down:<parent>` its children by seq.
--# use core
local LIVE = {blocked = true, pending = true, processing = true}
local AT_ONCE = 500

-- The parents of a child in order: {{number, parent, policy}, …}
function flows.parents(child)
  local flat, found = redis.call('HGETALL', R .. ':up:' .. child), {}
  for n = 1, #flat, 2 do
    local policy, parent = flat[n + 1]:match('^(%S+) (.*)$')
    found[#found + 1] = {tonumber(flat[n]), parent, policy}
  end
  table.sort(found, function(a, b) return a[1] < b[1] end)
  return found
end

-- Whether a job lives.
function flows.lives(id)
  return LIVE[redis.call('HGET', R .. ':j:' .. id, 's')] == true
end

-- Whether any parent of a child lives, and how many were looked at. They mostly end in their order, so
-- the last one is asked first, before all are read.
function flows.live_parent(child)
  local last = redis.call('HGET', R .. ':up:' .. child, redis.call('HLEN', R .. ':up:' .. child) - 1)
  if last and flows.lives(last:match('^%S+ (.*)$')) then return true, 1 end
  local parents = flows.parents(child)
  for n = #parents, 1, -1 do
    if flows.lives(parents[n][2]) then return true, #parents - n + 1 end
  end
  return false, #parents
end

-- Whether a child of a job, of those that are here, lives or stays until somebody deals with it. The latest are
-- asked first: they mostly live longest.
function flows.needed_by_child(id)
  local down, from = R .. ':down:' .. id, 0
  while true do
    local children = redis.call('ZREVRANGE', down, from, from + AT_ONCE - 1)
    if #children == 0 then return false end
    for _, erase_at in ipairs(redis.call('ZMSCORE', R .. ':erase', unpack(children))) do
      if not erase_at then return true end
    end
    from = from + AT_ONCE
  end
end

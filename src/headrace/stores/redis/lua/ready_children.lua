-- Those of some jobs that are blocked children whose parents have all ended. ARGV: ids. Reply: for each of
-- them policy, row, parents that did not complete: of those alike in what decides, the first.
--# use rows flows

local function failed(child)
  local found, known = {}, {}
  for _, edge in ipairs(flows.parents(child)) do
    local f = redis.call('HMGET', R .. ':j:' .. edge[2], 's', 't')
    if f[1] and f[1] ~= State.COMPLETED then
      local kept = redis.call('ZSCORE', R .. ':erase', edge[2]) and 0 or 1
      if not known[f[1] .. kept] then
        known[f[1] .. kept] = true
        found[#found + 1] = {edge[2], f[2], f[1], kept}
      end
    end
  end
  return found
end

local reply = {}
for _, child in ipairs(ARGV) do
  local policy = redis.call('HGET', R .. ':up:' .. child, 0)
  local blocked = redis.call('HGET', R .. ':j:' .. child, 's') == State.BLOCKED
  if policy and blocked and not flows.live_parent(child) then
    reply[#reply + 1] = {policy:match('^(%S+)'), jobs.row(child), failed(child)}
  end
end
return reply

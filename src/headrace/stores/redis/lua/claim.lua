-- Claims due jobs of several queues in order; those that must pass the gate are only named.
-- ARGV[1]: JSON {now, lease, stamp, limit, revision (of the limits), queues [[name, most, after], …], types {name: 1},
--   all, gated_queues {name: 1}, gated_types {name: 1}}.
-- Reply: {'ok', rows, [[queue, member, wishes], …], types met that are not asked for, [[queue, member], …] where a
--   look ended before the queue did} | {'limits'}: there is another revision | {'due'}: more are due, ask again.
--# use claims ready taking
local asked = cjson.decode(ARGV[1])
if tonumber(redis.call('HGET', R .. ':r:limits', 'n') or 0) ~= asked.revision then return {'limits'} end
core.go_on()
local found, unknown, short = {}, {}, {}
for _, one in ipairs(asked.queues) do
  if redis.call('HGET', R .. ':queues', one[1]) ~= '1' then
    if not claims.make_due(one[1], asked.now) then return {'due'} end
    local last = claims.look(one[1], one[2], one[3] or nil, asked.types, found, unknown)
    if last then short[#short + 1] = {one[1], last} end
  end
end
if asked.queues[2] then claims.sort(found) end
local claimed, gated = {}, {}
for n = 1, math.min(#found, asked.limit) do
  local queue, member = found[n][1], found[n][2]
  if member:sub(40, 40) == 'g' or asked.all or asked.gated_queues[queue] or asked.gated_types[member:sub(41, -38)] then
    gated[#gated + 1] = ready.named(queue, member, asked.now)
  else
    claimed[#claimed + 1] = taking.claim(queue, member, asked.stamp, asked.now, asked.lease)
  end
end
core.flush()
local types = {}
for name in pairs(unknown) do types[#types + 1] = name end
return {'ok', claimed, gated, types, short}

-- How a job is claimed, by whoever has found it ready.
--# use jobs ready

local CLAIMED = {'f', 'l', 'p', 'n', 'r', 'd', 'k', 'a', 'b', 'o', 'N', 'y'}
local PENDING, PROCESSING, LEASE = State.PENDING, State.PROCESSING, R .. ':lease'

-- Tells the hooks of a claim, which mind it only where there is an order, a slot or a log.
local function tell(queue, member, f, stamp, now, slot)
  local id = member:sub(-36)
  local old = {
    seq = tonumber(member:sub(24, 39)), queue = queue, type = member:sub(41, -38), state = PENDING, z = member:sub(1, 23),
    gate = member:sub(40, 40), due = tonumber(f[6] or ''), lock = core.some(f[7]), slot = core.some(f[12]),
    fence = tonumber(f[4]), revision = tonumber(f[5]), batch = f[9] or nil, order = f[10] or nil,
  }
  local new = jobs.copy(old)
  new.state, new.due, new.lock, new.slot = PROCESSING, nil, core.some(f[8]), slot
  new.fence, new.revision, new.now, new.stamp = old.fence + 1, old.revision + 1, now, stamp
  jobs.changed(id, old, new)
end

-- Claims a job that is ready; nil if it is not due, which a clock that is ahead may have taken it for.
-- Reply, made of what was read, so that nothing is made twice: facts, placement (as it was), payload, seq, fence, revision,
-- slot, progress, checkpoint
function taking.claim(queue, member, stamp, now, lease_until, slot)
  local id = member:sub(-36)
  local key = R .. ':j:' .. id
  local f = redis.call('HMGET', key, unpack(CLAIMED))
  local due = tonumber(f[6] or '')
  if not due or due > now then
    ready.put_back(queue, member, due)
    return nil
  end
  local fence, revision, lock, held = f[4] + 1, f[5] + 1, core.some(f[7]), slot or core.some(f[12])
  redis.call('HSET', key, 's', PROCESSING, 'c', stamp, 'n', fence, 'r', revision, 'd', '')
  if lock and lock ~= core.some(f[8]) then
    redis.call('DEL', R .. ':u:' .. lock)
    redis.call('HSET', key, 'k', f[8] or '')
  end
  if slot then redis.call('HSET', key, 'y', slot) end
  core.zrem(R .. ':q:' .. queue .. ':ready', member)
  core.zadd(LEASE, lease_until, id)
  local type = member:sub(41, -38)
  core.count(queue, type, PENDING, -1)
  core.count(queue, type, PROCESSING, 1)
  if f[10] or held or events.is_kept() then tell(queue, member, f, stamp, now, held) end
  local progress, checkpoint = false, false
  if f[11] then progress, checkpoint = unpack(redis.call('HMGET', R .. ':note:' .. id, 'progress', 'checkpoint')) end
  f[4], f[5], f[6], f[7], f[8], f[9] = member:sub(24, 39), fence, revision, held or false, progress, checkpoint
  f[10], f[11], f[12] = nil, nil, nil
  return f
end

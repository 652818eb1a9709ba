-- What a script answers of a job: in the order in which rows.py takes it apart.
--# use jobs

-- facts, placement, payload, seq, fence, revision, state, due, parked, lock, slot, stamp, lease, progress,
-- checkpoint, timed out at
function rows.of(id)
  local f = redis.call('HMGET', R .. ':j:' .. id, 'f', 'l', 'p', 'i', 'n', 'r', 's', 'd', 'x', 'k', 'y', 'c', 'N')
  if not f[1] then return false end
  local noted = f[13]
  f[13] = f[7] == State.PROCESSING and redis.call('ZSCORE', R .. ':lease', id)
  if noted then
    local note = redis.call('HMGET', R .. ':note:' .. id, 'progress', 'checkpoint', 'timed_out_fence', 'timed_out_at')
    f[14], f[15], f[16] = note[1], note[2], note[3] == f[5] and note[4]
  end
  return f
end

function jobs.row(id) return rows.of(id) end

local CLAIMED = {'n', 'r', 'k', 'y', 'b', 'o', 'N', 'a', 'd', 'f', 'l', 'p'}
local LEASE = R .. ':lease'

-- Tells the hooks of a claim, which mind it only where there is an order, a slot or a log.
local function tell(queue, member, f, stamp, now, slot)
  local id = member:sub(-36)
  local old = {
    seq = tonumber(member:sub(24, 39)), queue = queue, type = member:sub(41, -38), state = State.PENDING,
    z = member:sub(1, 23), gate = member:sub(40, 40), due = tonumber(f[9] or ''), lock = core.some(f[3]),
    slot = core.some(f[4]), fence = tonumber(f[1]), revision = tonumber(f[2]), batch = f[5] or nil, order = f[6] or nil,
  }
  local new = jobs.copy(old)
  new.state, new.due, new.lock, new.slot = State.PROCESSING, nil, core.some(f[8]), slot
  new.fence, new.revision, new.now, new.stamp = old.fence + 1, old.revision + 1, now, stamp
  jobs.changed(id, old, new)
end

-- A clock that is ahead may have made a job ready before its time.
local function put_back(queue, member, due)
  core.zrem(R .. ':q:' .. queue .. ':ready', member)
  if due then core.zadd(R .. ':q:' .. queue .. ':later', due, member) end
end

-- A job that is ready, for the gate: {queue, member, wishes}; nil if it is not due.
function rows.named(queue, member, now)
  local wished, due = unpack(redis.call('HMGET', R .. ':j:' .. member:sub(-36), 'g', 'd'))
  due = tonumber(due or '')
  if due and due <= now then return {queue, member, wished} end
  put_back(queue, member, due)
end

-- Claims a job that is ready; nil if it is not due, which a clock that is ahead may have taken it for.
-- Reply: facts, placement (as it was), payload, seq, fence, revision, slot, progress, checkpoint
function rows.claim(queue, member, stamp, now, lease_until, slot)
  local id = member:sub(-36)
  local key = R .. ':j:' .. id
  local f = redis.call('HMGET', key, unpack(CLAIMED))
  local due = tonumber(f[9] or '')
  if not due or due > now then
    put_back(queue, member, due)
    return nil
  end
  local fence, revision, lock, held = f[1] + 1, f[2] + 1, core.some(f[3]), slot or core.some(f[4])
  redis.call('HSET', key, 's', State.PROCESSING, 'c', stamp, 'n', fence, 'r', revision, 'd', '')
  if lock and lock ~= core.some(f[8]) then
    redis.call('DEL', R .. ':u:' .. lock)
    redis.call('HSET', key, 'k', f[8] or '')
  end
  if slot then redis.call('HSET', key, 'y', slot) end
  core.zrem(R .. ':q:' .. queue .. ':ready', member)
  core.zadd(LEASE, lease_until, id)
  local type = member:sub(41, -38)
  core.count(queue, type, State.PENDING, -1)
  core.count(queue, type, State.PROCESSING, 1)
  if f[6] or held or events.is_kept() then tell(queue, member, f, stamp, now, held) end
  local progress, checkpoint = false, false
  if f[7] then progress, checkpoint = unpack(redis.call('HMGET', R .. ':note:' .. id, 'progress', 'checkpoint')) end
  return {f[10], f[11], f[12], tonumber(member:sub(24, 39)), fence, revision, held or false, progress, checkpoint}
end

-- The same for whoever knows only its id. It must be ready.
function jobs.claim(id, stamp, now, lease_until, slot)
  local job = jobs.load(id)
  return rows.claim(job.queue, jobs.member(id, job), stamp, now, lease_until, slot)
end

-- How a job is moved, by whoever has decided it for what it was.
--# use jobs parking

local function take_lock(id, lock) redis.call('SET', R .. ':u:' .. lock, id) end

local function leave_lock(id, lock)
  if redis.call('GET', R .. ':u:' .. lock) == id then redis.call('DEL', R .. ':u:' .. lock) end
end

local CHANGING = {z = 'z', due = 'd', parked = 'x', lock = 'k', slot = 'y', hidden = 'v'}

-- Writes what a move changes: a command is the dearer the more it has to say.
local function write(id, old, new, placement, trail)
  local fields, n = {'s', new.state, 'l', placement, 'r', new.revision, 'c', ''}, 8
  for name, field in pairs(CHANGING) do
    local value = new[name]
    if value ~= old[name] then
      fields[n + 1], fields[n + 2] = field, value or ''
      n = n + 2
    end
  end
  if trail then fields[n + 1], fields[n + 2] = 'h', trail end
  redis.call('HSET', R .. ':j:' .. id, unpack(fields))
end

-- {'move', id, fence, revision, expired_before, now, state, placement, z, due, parked, lock, slot, lease, erase,
--  ended, hidden, trail}: 1, 0 if the guard does not fit, or the id of who holds the lock
DO.move = function(w)
  local id = w[2]
  local old = jobs.load_guarded(id, w[3], w[4], w[7])
  if not old then return 0 end
  local lease, lock = w[14] or nil, w[12] or nil
  if w[5] or lease then
    local held = tonumber(redis.call('ZSCORE', R .. ':lease', id) or '')
    if w[5] and not (held and held < w[5]) then return 0 end
    if lease and held and held > lease then lease = held end
  end
  if lock and lock ~= old.lock then
    local holder = redis.call('GET', R .. ':u:' .. lock)
    if holder and holder ~= id then return holder end
    take_lock(id, lock)
  end
  if old.lock and old.lock ~= lock then leave_lock(id, old.lock) end
  local new = {
    seq = old.seq, queue = old.queue, type = old.type, state = w[7], z = w[9], gate = old.gate, due = w[10] or nil,
    parked = w[11] or nil, lock = lock, slot = w[13] or nil, fence = old.fence, revision = old.revision + 1,
    batch = old.batch, order = old.order, erase = w[15] or nil, ended = w[16] or nil, hidden = w[17] and '1' or nil,
    now = w[6], attempt = w[18] and true,
  }
  jobs.unplace(id, old)
  write(id, old, new, w[8], w[18])
  jobs.place(id, new, w[6])
  if lease then jobs.lease(id, lease) end
  jobs.changed(id, old, new)
  return 1
end

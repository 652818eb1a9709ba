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

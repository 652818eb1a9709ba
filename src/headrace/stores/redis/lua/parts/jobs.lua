-- A job and the indexes that it is in. A job table has: seq, queue, type, state, z (priority and rank), gate, due,
-- parked, lock, slot, fence, revision, batch, order, stamp, after, key, tags, hidden (a cancel is asked); nil is null.
--# use placing events lanes

local ENDING = {'i', 'q', 't', 's', 'n', 'r', 'k', 'y', 'b', 'o', 'v'}
local FIELDS = {'i', 'q', 't', 's', 'n', 'r', 'k', 'y', 'b', 'o', 'v', 'z', 'g', 'd', 'x', 'c', 'a', 'u', 'w'}

function jobs.key(id) return R .. ':j:' .. id end

-- What is there of a job.
function jobs.load(id)
  local f = redis.call('HMGET', R .. ':j:' .. id, unpack(FIELDS))
  if not f[1] then return nil end
  local some = core.some
  return {
    seq = tonumber(f[1]), queue = f[2], type = f[3], state = f[4], fence = tonumber(f[5]), revision = tonumber(f[6]),
    lock = some(f[7]), slot = some(f[8]), batch = f[9] or nil, order = f[10] or nil, hidden = some(f[11]), z = f[12],
    gate = f[13] and 'g' or '-', due = tonumber(f[14] or ''), parked = some(f[15]), stamp = some(f[16]),
    after = some(f[17]), key = f[18] or nil, tags = some(f[19]),
  }
end

-- The same, if fence and revision are these. Most moves end a running job, for which less is needed.
function jobs.load_guarded(id, fence, revision, state)
  local f = redis.call('HMGET', R .. ':j:' .. id, unpack(ENDING))
  local n, r, lock, slot, hidden = tonumber(f[5] or ''), tonumber(f[6] or ''), f[7], f[8], f[11]
  if n ~= fence or r ~= revision then return nil end
  if f[4] ~= State.PROCESSING or not ENDED[state] then return jobs.load(id) end
  return {
    seq = tonumber(f[1]), queue = f[2], type = f[3], state = f[4], fence = n, revision = r,
    lock = lock ~= '' and lock or nil, slot = slot ~= '' and slot or nil, batch = f[9] or nil, order = f[10] or nil,
    hidden = hidden ~= '' and hidden or nil,
  }
end

function jobs.copy(job)
  local same = {}
  for name, value in pairs(job) do same[name] = value end
  return same
end

-- Sorts bytewise as jobs are claimed: priority and rank, seq, gate, type, a blank, id.
function jobs.member(id, job)
  return job.z .. string.format('%016.0f', job.seq) .. job.gate .. job.type .. ' ' .. id
end

function jobs.ended(job) return ENDED[job.state] end

function jobs.changed(id, old, new)
  for _, hook in ipairs(ON.changed) do hook(id, old, new) end
end

-- What of a job's changes the log tells.
--# use jobs log

-- Where in the field `l` of a job, as rows.py writes it, stands what a change tells.
local WORKER, ENDED_AT, OUTCOME, ERROR, RANK = 11, 12, 13, 14, 18

function events.is_kept() return log.is_kept() end

local function placement(id) return cjson.decode(redis.call('HGET', jobs.key(id), 'l')) end

-- A claim, an end, or the reopening of a job that had ended.
local function log_moved(id, job, place)
  if job.stamp then
    local worker, at = unpack(cjson.decode(job.stamp))
    return log.add(id, job, place, {at = at, worker = worker})
  end
  local at = core.some(place[ENDED_AT]) or place[RANK]
  log.add(id, job, place, {at = at, due = job.due, worker = place[WORKER], outcome = place[OUTCOME], error = place[ERROR]})
end

-- The attempt that was just added to the earlier ones.
local function log_attempt(id, job, place)
  local trail = cjson.decode(redis.call('HGET', jobs.key(id), 'h')).a
  local last = trail[#trail]
  log.add(id, job, place, {at = core.some(last.e) or last.s, generation = last.g, due = job.due, worker = last.w,
    outcome = last.o, error = last.x})
end

ON.changed[#ON.changed + 1] = function(id, old, new)
  if not log.is_kept() then return end
  if not old then return log.inserted(id, new, unpack(redis.call('HMGET', jobs.key(id), 'f', 'l'))) end
  local moved = old.state ~= new.state and (new.state == State.PROCESSING or ENDED[new.state] or ENDED[old.state])
  if not moved and not new.attempt then return end
  local place = placement(id)
  if moved then log_moved(id, new, place) end
  if new.attempt then log_attempt(id, new, place) end
end

ON.noted[#ON.noted + 1] = function(id, fields, now)
  if not fields.progress or fields.progress == fields.before or not log.is_kept() then return end
  local job, place = jobs.load(id), placement(id)
  local worker = job.stamp and cjson.decode(job.stamp)[1] or place[WORKER]
  log.add(id, job, place, {at = now, worker = worker, progress = fields.progress})
end

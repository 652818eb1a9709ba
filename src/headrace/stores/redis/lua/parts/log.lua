-- The log of changes: `R:log` says whether and since when one is kept, the stream `R:changes` has an entry for each, by
-- its number. While it is off a script pays one HGET for it.
--# use core

local TICKS_A_MS = 32

-- Where in the fields `f` and `l` of a job, as rows.py writes them, stands what every change tells.
local CREATED_AT = 14
local GENERATION, FAILURES, CRASHES = 5, 7, 8

local kept

function log.is_kept()
  if kept == nil then kept = (tonumber(redis.call('HGET', R .. ':log', 'keep_count') or '') or 0) > 0 end
  return kept
end

local function text(value)
  if not core.some(value) then return '' end
  return type(value) == 'number' and core.num(value) or value
end

-- Type and message of a kept error, as a JSON array. What is no JSON is left out.
local function shown(error)
  local is_json, fields = pcall(cjson.decode, core.some(error) or '')
  if not is_json or type(fields) ~= 'table' or not fields.message then return '' end
  return cjson.encode({fields.type or cjson.null, fields.message})
end

-- Always the same fields in the same order: then the server keeps their names once. See changes_after.lua.
function log.add(id, job, place, told)
  local last = tonumber(redis.call('HGET', R .. ':log', 'number') or '') or 0
  local number = math.max(last + 1, TICKS_A_MS * (told.at or 0)) -- near the time, as those of other partitions
  redis.call('HSET', R .. ':log', 'number', core.num(number))
  redis.call('XADD', R .. ':changes', core.num(number) .. '-0', 'at', text(told.at), 'job', id, 'queue', job.queue,
    'type', job.type, 'batch', job.batch or '', 'state', job.state, 'generation', text(place[GENERATION]),
    'charged', core.num(place[FAILURES] + place[CRASHES]), 'ended', text(told.generation), 'due', text(told.due),
    'worker', text(told.worker), 'outcome', text(told.outcome), 'error', shown(told.error),
    'progress', text(told.progress))
end

-- A new job, of which these are the fields `f` and `l`.
function log.inserted(id, job, facts, placement)
  log.add(id, job, cjson.decode(placement), {at = cjson.decode(facts)[CREATED_AT], due = job.due})
end

-- {'keep_events', keep_ms, keep_count}: switches the log on, or, with 0, off. One that was off begins with what comes.
DO.keep_events = function(w)
  local log_key = R .. ':log'
  local before = redis.call('HMGET', log_key, 'epoch', 'keep_count', 'number')
  if not before[1] then redis.call('DEL', R .. ':changes') end
  if (tonumber(before[2] or '') or 0) == 0 then
    redis.call('HSET', log_key, 'epoch', (tonumber(before[1] or '') or 0) + 1, 'since', before[3] or 0)
  end
  redis.call('HSET', log_key, 'keep_ms', w[2], 'keep_count', w[3])
end

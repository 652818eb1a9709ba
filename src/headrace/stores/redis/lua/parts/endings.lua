-- In which indexes a job is that has ended.
--# use core

local keys = {} -- state -> type -> key
local ERASE, DIED = R .. ':erase', R .. ':died'

local function key_of(job)
  local of = keys[job.state]
  if not of then of = {}; keys[job.state] = of end
  local key = of[job.type]
  if not key then key = R .. ':ended:' .. job.state .. ':' .. job.type; of[job.type] = key end
  return key
end

-- R:died: see dead.lua.
local function death(id, job) return string.format('%016.0f', job.seq) .. id end

function endings.place(id, job)
  core.zadd(key_of(job), job.seq, id)
  if job.erase then core.zadd(ERASE, job.erase, id) end
  if job.state == State.FAILED and job.ended then core.zadd(DIED, job.ended, death(id, job)) end
end

function endings.unplace(id, job)
  core.zrem(key_of(job), id)
  core.zrem(ERASE, id)
  if job.state == State.FAILED then core.zrem(DIED, death(id, job)) end
end

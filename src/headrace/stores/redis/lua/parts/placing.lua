-- In which indexes a job is.
--# use jobs

local ended_keys = {}
local LEASE, LIVE, ERASE, DIED = R .. ':lease', R .. ':live', R .. ':erase', R .. ':died'

local function ended_key(job)
  local of = ended_keys[job.state]
  if not of then of = {}; ended_keys[job.state] = of end
  local key = of[job.type]
  if not key then key = R .. ':ended:' .. job.state .. ':' .. job.type; of[job.type] = key end
  return key
end

function jobs.lease(id, lease_until) core.zadd(LEASE, lease_until, id) end

-- Into all indexes that its state asks for. A job that is hidden (a cancel is asked) is claimed by nobody.
function jobs.place(id, job, now)
  core.count(job.queue, job.type, job.state, 1)
  if ENDED[job.state] then
    core.zadd(ended_key(job), job.seq, id)
    if job.erase then core.zadd(ERASE, job.erase, id) end
    if job.state == State.FAILED and job.ended then
      core.zadd(DIED, job.ended, string.format('%016.0f', job.seq) .. id)
    end
    return
  end
  core.zadd(LIVE, job.seq, id)
  if job.batch then core.zadd(R .. ':batchlive:' .. job.batch, job.seq, id) end
  if job.order then core.zadd(R .. ':order:' .. job.order, job.seq, id) end
  if job.parked then
    core.zadd(core.parked(job.parked, job.queue), 0, jobs.member(id, job))
  elseif job.due and not job.hidden then
    local at = math.max(job.due, tonumber(job.z:sub(8)))
    if now and at <= now then
      core.zadd(R .. ':q:' .. job.queue .. ':ready', 0, jobs.member(id, job))
    else
      core.zadd(R .. ':q:' .. job.queue .. ':later', at, jobs.member(id, job))
    end
  end
end

-- Out of all indexes that it may be in but those of its whole life.
function jobs.unplace(id, job)
  core.count(job.queue, job.type, job.state, -1)
  if ENDED[job.state] then
    core.zrem(ended_key(job), id)
    core.zrem(ERASE, id)
    if job.state == State.FAILED then core.zrem(DIED, string.format('%016.0f', job.seq) .. id) end
    return
  end
  core.zrem(LIVE, id)
  if job.batch then core.zrem(R .. ':batchlive:' .. job.batch, id) end
  if job.order then core.zrem(R .. ':order:' .. job.order, id) end
  if job.parked then
    core.zrem(core.parked(job.parked, job.queue), jobs.member(id, job))
  elseif job.due then
    local member = jobs.member(id, job)
    core.zrem(R .. ':q:' .. job.queue .. ':ready', member)
    core.zrem(R .. ':q:' .. job.queue .. ':later', member)
  elseif job.state == State.PROCESSING then
    core.zrem(LEASE, id)
  end
end

-- Makes jobs of a queue ready that have become due, up to 1,000; returns how many it were.
function jobs.move_due(queue, now)
  local later = R .. ':q:' .. queue .. ':later'
  local due = redis.call('ZRANGEBYSCORE', later, '-inf', now, 'LIMIT', 0, 1000)
  if not due[1] then return 0 end
  local ready = {}
  for n, member in ipairs(due) do ready[2 * n - 1], ready[2 * n] = 0, member end
  redis.call('ZREM', later, unpack(due))
  redis.call('ZADD', R .. ':q:' .. queue .. ':ready', unpack(ready))
  return #due
end

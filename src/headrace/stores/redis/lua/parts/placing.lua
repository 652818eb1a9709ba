-- In which indexes a job is: here while it lives, and in `endings` when it has ended.
--# use jobs endings later

local LEASE, LIVE = R .. ':lease', R .. ':live'

function jobs.lease(id, lease_until) core.zadd(LEASE, lease_until, id) end

-- Into all indexes that its state asks for. A job that is hidden (a cancel is asked) is claimed by nobody.
function jobs.place(id, job, now)
  core.count(job.queue, job.type, job.state, 1)
  if ENDED[job.state] then return endings.place(id, job) end
  core.zadd(LIVE, job.seq, id)
  if job.batch then core.zadd(R .. ':batchlive:' .. job.batch, job.seq, id) end
  if job.order then core.zadd(R .. ':order:' .. job.order, job.seq, id) end
  if job.parked then
    core.zadd(core.parked(job.parked, job.queue), 0, jobs.member(id, job))
  elseif job.due and not job.hidden then
    jobs.wait(job.queue, jobs.member(id, job), job.due, now)
  end
end

-- Out of all indexes that it may be in but those of its whole life.
function jobs.unplace(id, job)
  core.count(job.queue, job.type, job.state, -1)
  if ENDED[job.state] then return endings.unplace(id, job) end
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

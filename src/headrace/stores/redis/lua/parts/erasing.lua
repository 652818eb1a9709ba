-- Ended jobs leave, with all that belongs to them.
--# use core jobs flows
local WAITED_ON = 2 ^ 30 -- core.job.WAITED_ON

-- Whether an open batch counts the job among its members, or another job waits for it.
local function needed(id, job)
  if job.batch and core.some(redis.call('HGET', R .. ':r:batch:' .. job.batch, 'd')) then return true end
  return job.revision >= WAITED_ON and flows.needed_by_child(id)
end

local function erase(id, job)
  local key, tags = unpack(redis.call('HMGET', R .. ':j:' .. id, 'u', 'w'))
  jobs.unplace(id, job)
  for _, tag in ipairs(cjson.decode(core.some(tags) or '[]')) do
    core.zrem(R .. ':tag:' .. tag, id)
  end
  if key then core.zrem(R .. ':ukey:' .. key, id) end
  if job.batch then core.zrem(R .. ':batch:' .. job.batch, id) end
  for _, edge in ipairs(flows.parents(id)) do
    redis.call('ZREM', R .. ':down:' .. edge[2], id)
  end
  redis.call('ZREM', R .. ':waiting', id)
  for _, kind in ipairs({':j:', ':note:', ':lines:', ':steps:', ':signals:', ':up:', ':down:'}) do
    redis.call('UNLINK', R .. kind .. id)
  end
end

-- Erases those of these ended jobs that nobody needs, up to a number.
-- Returns how many were looked at, were erased, are needed.
function erasing.erase(ids, limit)
  local looked, erased, kept = 0, 0, 0
  for _, id in ipairs(ids) do
    if erased == limit then break end
    local job = jobs.load(id)
    looked = looked + 1
    if not job or needed(id, job) then
      kept = kept + 1
    else
      erase(id, job)
      erased = erased + 1
    end
  end
  core.flush()
  return {looked, erased, kept}
end

-- Jobs that are ready, as a claim finds them.
--# use jobs

-- A clock that is ahead may have made a job ready before its time.
function ready.put_back(queue, member, due)
  core.zrem(R .. ':q:' .. queue .. ':ready', member)
  if due then core.zadd(R .. ':q:' .. queue .. ':later', due, member) end
end

-- A job that is ready, for the gate: {queue, member, wishes}; nil if it is not due.
function ready.named(queue, member, now)
  local wished, due = unpack(redis.call('HMGET', R .. ':j:' .. member:sub(-36), 'g', 'd'))
  due = tonumber(due or '')
  if due and due <= now then return {queue, member, wished} end
  ready.put_back(queue, member, due)
end

-- How a newer enqueue changes a job that waits.
--# use jobs

-- {'replace', id, revision, now, facts, payload, placement, z, due, tags}
CHECK.replace = function(w)
  local seen = redis.call('HMGET', R .. ':j:' .. w[2], 'r', 's')
  if tonumber(seen[1] or '') ~= w[3] or seen[2] ~= State.PENDING then return {'again'} end
end

DO.replace = function(w)
  local id, key = w[2], R .. ':j:' .. w[2]
  local old = jobs.load(id)
  local new = jobs.copy(old)
  new.revision, new.z, new.due, new.parked, new.now = old.revision + 1, w[8], w[9] or nil, nil, w[4]
  jobs.unplace(id, old)
  local before = redis.call('HGET', key, 'w')
  for _, tag in ipairs(cjson.decode(core.some(before) or '[]')) do core.zrem(R .. ':tag:' .. tag, id) end
  for _, tag in ipairs(cjson.decode(w[10] or '[]')) do core.zadd(R .. ':tag:' .. tag, old.seq, id) end
  redis.call('HSET', key, 'f', w[5], 'p', w[6], 'l', w[7], 'z', w[8], 'd', w[9] or '', 'x', '', 'w', w[10] or '',
    'r', new.revision)
  jobs.place(id, new, w[4])
  jobs.changed(id, old, new)
end

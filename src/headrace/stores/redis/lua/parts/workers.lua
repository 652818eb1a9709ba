-- Workers that are alive, and the jobs that waited for what they know.
--# use parking lanes
-- Write {'hello', worker, text}, the text being JSON with `types` and `seen_at` in it.
DO.hello = function(w)
  redis.call('HSET', R .. ':workers', w[2], w[3])
end

-- Write {'goodbye', worker}.
DO.goodbye = function(w)
  redis.call('HDEL', R .. ':workers', w[2])
end

-- The types that workers know who have been seen since then: name → true.
function workers.known_types(since)
  local known = {}
  for _, text in ipairs(redis.call('HVALS', R .. ':workers')) do
    local said = cjson.decode(text)
    if said.seen_at >= since then
      for _, name in ipairs(said.types) do
        known[name] = true
      end
    end
  end
  return known
end

-- Write {'unpark', {lane, …}, now, limit}: brings back jobs that wait on these lanes. Answer: how many.
DO.unpark = function(w)
  local now, left = w[3], w[4]
  for _, lane in ipairs(w[2]) do
    local places = redis.call('ZRANGEBYLEX', R .. ':parkings', '[' .. lane .. US, '(' .. lane .. ' ')
    for _, place in ipairs(places) do
      for _, member in ipairs(left > 0 and redis.call('ZRANGE', R .. ':parked:' .. place, 0, left - 1) or {}) do
        jobs.unpark(lane, place:sub(#lane + 2), member, lanes.due_again(member, now), now)
        left = left - 1
      end
    end
  end
  return w[4] - left
end

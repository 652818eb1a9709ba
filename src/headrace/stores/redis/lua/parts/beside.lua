-- What comes beside jobs out of another store: receipts, and what is kept of lanes.
--# use lanes indexes

-- {'adopt_receipt', key, id, body, until}: unless there is one
DO.adopt_receipt = function(w)
  if redis.call('EXISTS', R .. ':receipt:' .. w[2]) == 1 then return end
  redis.call('HSET', R .. ':receipt:' .. w[2], 'id', w[3], 'body', w[4] or '', 'until', w[5])
  core.zadd(R .. ':receipts', w[5], w[2])
end

-- {'adopt_lane', key, tat, opens_at, cap}: unless something is kept of it; tat in its digits
DO.adopt_lane = function(w)
  if redis.call('EXISTS', R .. ':lane:' .. w[2]) == 1 then return end
  lanes.touch(w[2])
  for n, name in ipairs({'tat', 'opens_at', 'cap'}) do
    if w[n + 2] then redis.call('HSET', R .. ':lane:' .. w[2], name, w[n + 2]) end
  end
end

-- The gate of a claim, as it commits: what was decided about a job is done if it still is so, else the job stays due.
--# use picking parking taking
local plan

-- {'lanes_are', {{lane, version or nothing}, …}}: what is kept of them, and whose turn it is, is what was seen.
CHECK.lanes_are = function(w)
  for _, one in ipairs(w[2]) do
    if redis.call('HGET', R .. ':lane:' .. one[1], 'v') ~= one[2] then return {'again'} end
  end
end

-- {'limits_are', revision}: the definitions are those of this revision, 0 for none.
CHECK.limits_are = function(w)
  if tonumber(redis.call('HGET', R .. ':r:limits', 'n') or 0) ~= w[2] then return {'again'} end
end

-- {'pass', {queue, …}, lanes as in `passing`, rows of who is admitted and of who is parked as in `picking`, all, stamp,
-- now, lease_until, in_turn}. All: each of them or nothing. In turn: nothing if one of them is gone, behind whom others of
-- its ordering key were put. Answer: the row of each that is admitted, else false; how many are parked, how many stay due,
-- and how many others have taken.
CHECK.pass = function(w)
  for _, queue in ipairs(w[2]) do
    if redis.call('HGET', R .. ':queues', queue) == '1' then return {'again'} end
  end
  plan = picking.plan(w[3], w[4], w[5])
  if (w[6] and plan.left + plan.gone > 0) or (w[10] and plan.gone > 0) then return {'again'} end
end

DO.pass = function(w)
  local found, left, parked = {}, plan.left, 0
  for n, row in ipairs(w[4]) do
    local member = plan.admitted[n]
    found[n] = member and taking.claim(row[1], member, w[7], w[8], w[9], row[4] or nil) or false
    if member and not found[n] then left = left + 1 end
  end
  for n, row in ipairs(w[5]) do
    if plan.parked[n] then
      jobs.park(row[1], row[2], w[3][row[3]][1])
      parked = parked + 1
    end
  end
  return {found, parked, left, plan.gone}
end

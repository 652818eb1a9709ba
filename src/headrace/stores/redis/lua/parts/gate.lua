-- The gate of a claim: its checks, and what it writes.
--# use jobs moving rows lanes

-- {'lanes_are', {{lane, version or nothing}, …}}: nobody has touched them since they were looked at.
CHECK.lanes_are = function(w)
  for _, one in ipairs(w[2]) do
    if redis.call('HGET', R .. ':lane:' .. one[1], 'v') ~= one[2] then return {'again'} end
  end
end

-- {'limits_are', revision}: the definitions are those of this revision, 0 for none.
CHECK.limits_are = function(w)
  if tonumber(redis.call('HGET', R .. ':r:limits', 'n') or 0) ~= w[2] then return {'again'} end
end

-- {'still_due', queue, {member, …}}: they may be claimed there.
CHECK.still_due = function(w)
  if redis.call('HGET', R .. ':queues', w[2]) == '1' then return {'again'} end
  for _, member in ipairs(w[3]) do
    if not redis.call('ZSCORE', R .. ':q:' .. w[2] .. ':ready', member) then return {'again'} end
  end
end

-- {'admit', {{member, slots or nothing}, …}, stamp, now, lease_until}: a row of each job that is claimed, false for one
-- that is not due at this instant.
DO.admit = function(w)
  local found = {}
  for n, one in ipairs(w[2]) do
    found[n] = jobs.claim(one[1]:sub(-36), w[3], w[4], w[5], one[2] or nil) or false
  end
  return found
end

-- {'park', {{member, lane}, …}, now}
DO.park = function(w)
  for _, one in ipairs(w[2]) do jobs.park(one[1]:sub(-36), nil, one[2], w[3]) end
end

-- {'park_alike', queue, type, wishes or nothing, lane, {seq, …}, now, ahead, limit}: how many more wait on the lane
-- now, of the jobs due next that wish the same as one that it refused, but none of those to be spared.
DO.park_alike = function(w)
  local spared, count = {}, 0
  for _, seq in ipairs(w[6]) do spared[seq] = true end
  for _, member in ipairs(redis.call('ZRANGE', R .. ':q:' .. w[2] .. ':ready', 0, w[8] - 1)) do
    local id = member:sub(-36)
    if count < w[9] and member:sub(41, -38) == w[3] and not spared[tonumber(member:sub(24, 39))]
      and redis.call('HGET', R .. ':j:' .. id, 'g') == w[4] then
      jobs.park(id, nil, w[5], w[7])
      count = count + 1
    end
  end
  return count
end

-- Jobs as another store held them: what `insert` leaves at its beginning, and all that they own.
--# use jobs steps flows

local function note(id, fence, given)
  local fields = {}
  if given[1] then fields[#fields + 1] = 'progress'; fields[#fields + 1] = given[1] end
  if given[2] then fields[#fields + 1] = 'checkpoint'; fields[#fields + 1] = given[2] end
  if given[3] then
    for _, one in ipairs({'timed_out_at', given[3], 'timed_out_fence', fence}) do fields[#fields + 1] = one end
  end
  if not fields[1] then return end
  redis.call('HSET', R .. ':note:' .. id, unpack(fields))
  redis.call('HSET', R .. ':j:' .. id, 'N', 1)
end

local function wait(id, job, edges)
  for _, edge in ipairs(edges) do
    redis.call('HSET', R .. ':up:' .. id, edge[1], edge[3] .. ' ' .. edge[2])
    if edge[2] ~= '' then redis.call('ZADD', R .. ':down:' .. edge[2], job.seq, id) end
  end
  if edges[1] and job.state == State.BLOCKED then redis.call('ZADD', R .. ':waiting', job.seq, id) end
end

local function adopt(id, job, row)
  redis.call('HSET', R .. ':j:' .. id, 'n', row[2], 'r', row[3])
  if row[4] and job.order then redis.call('ZADD', R .. ':begun:' .. job.order, job.seq, id) end
  if row[7] then redis.call('HSET', R .. ':j:' .. id, 'h', row[7]) end
  if row[5] or row[6] then
    jobs.unplace(id, job)
    job.erase, job.ended = row[5] or nil, row[6] or nil
    jobs.place(id, job, 0)
  end
  note(id, row[2], row[8])
  if row[9][1] then redis.call('RPUSH', R .. ':lines:' .. id, unpack(row[9])) end
  if row[10][1] then steps.write(id, row[10]) end
  for n, signal in ipairs(row[11]) do redis.call('HSET', R .. ':signals:' .. id, signal[1], n .. ' ' .. signal[2]) end
  wait(id, job, row[12])
end

-- {'adopted', {{id, fence, revision, begun, erase, ended, trail, {progress, checkpoint, timed out at}, lines, steps,
--  signals, edges}, …}}: the jobs that `insert` made just now, and none that it could not. Begun: it holds its ordering key.
DO.adopted = function(w)
  for _, row in ipairs(w[2]) do
    local job = jobs.load(row[1])
    if job then adopt(row[1], job, row) end
  end
end

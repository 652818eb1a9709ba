-- How jobs are inserted that may have anything (the others: insert.lua), and what answers for them.
--# use jobs seqs queues

local function join(id, seq, more)
  if more.u then core.zadd(R .. ':ukey:' .. more.u, seq, id) end
  if more.b then core.zadd(R .. ':batch:' .. more.b, seq, id) end
  if more.w then
    for _, tag in ipairs(cjson.decode(more.w)) do core.zadd(R .. ':tag:' .. tag, seq, id) end
  end
  if more.k then redis.call('SET', R .. ':u:' .. more.k, id) end
end

-- {'insert', now, {{id, queue, type, facts, payload, state, placement, z, due, more, hidden, lease}, …}}
CHECK.insert = function(w)
  for _, row in ipairs(w[3]) do
    local lock = row[10] and row[10].k
    if lock and redis.call('EXISTS', R .. ':u:' .. lock) == 1 then return {'again'} end
    if redis.call('EXISTS', R .. ':j:' .. row[1]) == 1 then return {'exists', row[1]} end
  end
end

local function insert(now, row, seq)
  local id, queue, more = row[1], row[2], row[10] or {}
  local job = {
    seq = seq, queue = queue, type = row[3], state = row[6], z = row[8], gate = more.g and 'g' or '-',
    due = row[9] or nil, parked = more.x, lock = more.k, slot = more.y, fence = 0, revision = 0,
    batch = more.b, order = more.o, after = more.a, hidden = row[11], now = now,
  }
  local fields = {'i', seq, 'q', queue, 't', row[3], 'f', row[4], 'p', row[5], 's', row[6], 'l', row[7],
    'z', row[8], 'd', row[9] or '', 'n', 0, 'r', 0}
  if row[11] then more.v = 1 end
  for name, value in pairs(more) do
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  redis.call('HSET', R .. ':j:' .. id, unpack(fields))
  queues.make(queue)
  if row[10] then join(id, seq, more) end
  if row[12] then jobs.lease(id, row[12]) end
  jobs.place(id, job, now)
  jobs.changed(id, nil, job)
  return seq
end

DO.insert = function(w)
  local given = seqs.take(w[3], w[2])
  for n, row in ipairs(w[3]) do insert(w[2], row, given[n]) end
  return given
end

-- {'receipt', key, id, body, until, now}
CHECK.receipt = function(w)
  local good = tonumber(redis.call('HGET', R .. ':receipt:' .. w[2], 'until') or '')
  if good and good > w[6] then return {'again'} end
end

DO.receipt = function(w)
  redis.call('HSET', R .. ':receipt:' .. w[2], 'id', w[3], 'body', w[4] or '', 'until', w[5])
  core.zadd(R .. ':receipts', w[5], w[2])
end

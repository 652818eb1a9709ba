-- Inserts pending jobs on which nothing hangs: no lock, slot, lane, batch, tag or lease. All of them, or none.
-- ARGV: 1 now, 2 how many texts a job has; then of each run of jobs that are alike how many these are, queue, type, facts
--   up to the id, placement, z and due; and of each of its jobs id, payload and, of three, the tick or ''.
-- Reply: {'ok', {}} | {'exists', id}
-- It leaves what the write `insert` of a commit would leave: test_plain_inserting.py compares them.
--# use seqs log queues later
local now, width = tonumber(ARGV[1]), tonumber(ARGV[2])
local HEAD, MANY, HSET = 7, 1000, 'HSET'
local prefix, logged, tick = R .. ':j:', log.is_kept(), seqs.latest(now)
local keys, live, format = {}, {}, string.format

-- Calls visit(n, first, last) for each run: where its head is, and its first and last text.
local function each_run(visit)
  local n = 3
  while ARGV[n] do
    local last = n + HEAD - 1 + width * ARGV[n]
    visit(n, n + HEAD, last)
    n = last + 1
  end
end

each_run(function(_, first, last)
  for at = first, last, width do keys[#keys + 1] = prefix .. ARGV[at] end
end)
for first = 1, #keys, MANY do
  local last = math.min(first + MANY - 1, #keys)
  if redis.call('EXISTS', unpack(keys, first, last)) > 0 then
    while redis.call('EXISTS', keys[first]) == 0 do first = first + 1 end
    return {'exists', keys[first]:sub(#prefix + 1)}
  end
end

local done = 0
each_run(function(n, first, last)
  local queue, type, facts, placement, z, due = unpack(ARGV, n + 1, n + 6)
  local key, at = later.place(queue, tonumber(due), tonumber(z:sub(8)), now)
  local score, found = core.num(at), {}
  local state, tail = State.PENDING, '-' .. type .. ' '
  for place = first, last, width do
    local id, mine, many = ARGV[place], facts .. ARGV[place] .. '"]', 2 * done
    tick = math.max(tick + 1, width == 3 and tonumber(ARGV[place + 2]) or 0)
    local seq = format('%.0f', seqs.of(tick))
    done = done + 1
    redis.call(HSET, keys[done], 'i', seq, 'q', queue, 't', type, 'f', mine, 'p', ARGV[place + 1], 's', state, 'l',
      placement, 'z', z, 'd', due, 'n', '0', 'r', '0')
    live[many + 1], live[many + 2] = seq, id
    found[#found + 1] = score
    found[#found + 1] = z .. (#seq == 16 and seq or format('%016.0f', seq)) .. tail .. id
    if logged then log.inserted(id, {queue = queue, type = type, state = state, due = due}, mine, placement) end
  end
  queues.make(queue)
  core.count(queue, type, state, (last + 1 - first) / width)
  indexes.send('ZADD', key, found)
end)
indexes.send('ZADD', R .. ':live', live)
seqs.keep(tick)
core.flush()
return {'ok', {}}

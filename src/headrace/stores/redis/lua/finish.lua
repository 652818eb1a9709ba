-- Ends running jobs that nothing hangs on: no slot, unique lock, batch or ordering key, and no log of changes.
-- ARGV: 1 state, 2 erase_at ('' for none); then of each job id, fence, revision and its placement.
-- Reply: of each 1, or 0 where that is not so or the guard does not fit: it is to be moved as any other.
--# use events
local state, erase, ended = ARGV[1], ARGV[2], {}
local gone, erased, answers, counts = {}, {}, {}, {}, {}
local prefix, plain = R .. ':j:', not events.is_kept()
core.go_on()

local function is_free(lock, slot, batch, order)
  return (not lock or lock == '') and (not slot or slot == '') and not batch and not order
end

for n = 3, #ARGV, 4 do
  local id = ARGV[n]
  local key = prefix .. id
  local f = redis.call('HMGET', key, 'i', 'q', 't', 's', 'n', 'r', 'k', 'y', 'b', 'o')
  if plain and f[4] == State.PROCESSING and f[5] == ARGV[n + 1] and f[6] == ARGV[n + 2]
    and is_free(f[7], f[8], f[9], f[10]) then
    redis.call('HSET', key, 's', state, 'l', ARGV[n + 3], 'r', f[6] + 1, 'c', '')
    gone[#gone + 1] = id
    local of = ended[f[3]]
    if not of then of = {}; ended[f[3]] = of end
    of[#of + 1] = f[1]
    of[#of + 1] = id
    local place = f[2] .. US .. f[3]
    counts[place] = (counts[place] or 0) + 1
    erased[#erased + 1] = erase
    erased[#erased + 1] = id
    answers[#answers + 1] = 1
  else
    answers[#answers + 1] = 0
  end
end

if gone[1] then
  redis.call('ZREM', R .. ':lease', unpack(gone))
  redis.call('ZREM', R .. ':live', unpack(gone))
  if erase ~= '' then redis.call('ZADD', R .. ':erase', unpack(erased)) end
  for type, of in pairs(ended) do redis.call('ZADD', R .. ':ended:' .. state .. ':' .. type, unpack(of)) end
  for place, count in pairs(counts) do
    local queue, type = place:match('^(.*)' .. US .. '(.*)$')
    core.count(queue, type, State.PROCESSING, -count)
    core.count(queue, type, state, count)
  end
  core.flush()
end
return answers

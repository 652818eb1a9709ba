-- Changes of the numbers of jobs by queue, type and state, gathered until core.flush().
--# use core

local moves = {} -- queue -> type -> state -> count

function core.count(queue, type, state, delta)
  local of = moves[queue]
  if not of then of = {}; moves[queue] = of end
  local by = of[type]
  if not by then by = {}; of[type] = by end
  by[state] = (by[state] or 0) + delta
end

local function flush_moves(queue, type, by)
  for state, n in pairs(by) do
    local what = queue .. US .. type .. US .. state
    if n ~= 0 and redis.call('HINCRBY', R .. ':tally', what, n) == 0 then
      redis.call('HDEL', R .. ':tally', what)
    end
  end
end

function tallies.flush()
  for queue, of in pairs(moves) do
    for type, by in pairs(of) do flush_moves(queue, type, by) end
  end
  moves = {}
end

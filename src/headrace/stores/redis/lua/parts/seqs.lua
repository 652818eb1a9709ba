-- The numbers of jobs, in the order in which they are inserted: a tick, and in which partition.
-- They are unique over all partitions of a namespace, and follow time there as far as its ticks allow; so listings
-- of several partitions can be merged, and a job tells where it is.
--# use core
local PARTITIONS = 64          -- partitions.places.MOST
local TICKS_A_MS = 32
local LATEST = 4.3e12          -- later instants would not leave a whole number below 2^53
local KEY = R .. ':seq'

local partition = tonumber(R:match('/(%d+)}$') or 0)

-- The last tick that was given, or that of now if it is later.
function seqs.latest(now)
  return math.max(tonumber(redis.call('GET', KEY) or 0), now < LATEST and now * TICKS_A_MS or 0)
end

function seqs.of(tick) return tick * PARTITIONS + partition end

-- Whoever gave ticks says which was the last.
function seqs.keep(tick) redis.call('SET', KEY, core.num(tick)) end

-- A number for each row. One whose tick is given comes no earlier: it stands among rows of other partitions.
function seqs.take(rows, now)
  local last, given = seqs.latest(now), {}
  for n, row in ipairs(rows) do
    last = math.max(last + 1, row[13] or 0)
    given[n] = seqs.of(last)
  end
  seqs.keep(last)
  return given
end

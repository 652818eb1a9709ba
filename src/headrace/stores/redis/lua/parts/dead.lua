-- Walks the jobs that failed, the latest first: `R:died` has ended_at / the seq in 16 digits and the id.
--# use core

-- How many of them died at an instant with a seq of at least `seq`, or later: there the walk begins.
local function above(at, seq)
  local key = R .. ':died'
  local low = redis.call('ZCOUNT', key, '(' .. at, '+inf')
  local high = low + redis.call('ZCOUNT', key, at, at)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local member = redis.call('ZREVRANGE', key, middle, middle)[1]
    if tonumber(member:sub(1, 16)) < seq then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

-- Calls visit(id, at) for at most `look` jobs that died before an instant and seq, and not before `since`,
-- until it answers true. Returns how many were looked at, and the instant and the seq of the last of them, as
-- texts.
function dead.walk(at, seq, since, look, visit)
  local first = above(at, tonumber(seq))
  local found = redis.call('ZREVRANGE', R .. ':died', first, first + look - 1, 'WITHSCORES')
  local looked, last_at, last_seq = 0, at, seq
  for n = 1, #found, 2 do
    if tonumber(found[n + 1]) < tonumber(since) then break end
    looked, last_at, last_seq = looked + 1, found[n + 1], core.num(tonumber(found[n]:sub(1, 16)))
    if visit(found[n]:sub(17), tonumber(last_at)) then break end
  end
  return looked, last_at, last_seq
end

-- Whether somebody has dealt with a failed job, or nobody need.
function dead.dealt_with(id)
  return redis.call('ZSCORE', R .. ':erase', id) ~= false
end

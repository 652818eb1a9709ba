-- Ordering keys: who holds them, and who is the first of those that wait.
local AT_ONCE, MOST = 500, 10000

local function first_of(index, lane)
  return redis.call('ZRANGE', R .. ':' .. index .. ':' .. lane, 0, 0, 'WITHSCORES')
end

local function seq_of(pair) return pair[2] and tonumber(pair[2]) or false end

-- The seq of who runs of a key, and of who has begun and keeps the others waiting; false for nobody.
function orders.holder(lane) return seq_of(first_of('turn', lane)), seq_of(first_of('begun', lane)) end

-- The id of the one that runs, or else has begun.
function orders.holder_id(lane) return first_of('turn', lane)[1] or first_of('begun', lane)[1] end

-- Whether a job takes part: it is due, or parked, but not on the lane of a batch in turn.
local function takes_part(id, now, of_batches)
  local due, parked = unpack(redis.call('HMGET', R .. ':j:' .. id, 'd', 'x'))
  if core.some(due) and tonumber(due) <= now then return true end
  return core.some(parked) and parked:sub(1, #of_batches) ~= of_batches
end

-- The seq of the first one that takes part, looked for from there on; else false, and after which seq to look on.
function orders.first(lane, from, now, of_batches)
  local found = redis.call('ZRANGEBYSCORE', R .. ':order:' .. lane, from, '+inf', 'WITHSCORES', 'LIMIT', 0, AT_ONCE)
  for n = 1, #found, 2 do
    if takes_part(found[n], now, of_batches) then return tonumber(found[n + 1]), false end
  end
  return false, #found == 2 * AT_ONCE and found[#found]
end

-- The id of the first one that waits on the lane of its key; nil if it is not among the first ones of the key.
function orders.first_on(lane)
  for _, id in ipairs(redis.call('ZRANGE', R .. ':order:' .. lane, 0, MOST - 1)) do
    if redis.call('HGET', R .. ':j:' .. id, 'x') == lane then return id end
  end
end

-- Writes registers, which are small values, with compare-and-set.
-- Write {'swap', {{key, revision, value or nothing, due_at or nothing}, …}}: all swaps as if one by one, or 'stale' and
-- none. One such write a commit: a check does not see what another write of the commit is going to do.
local ABSENT, JUST_WRITTEN = 0, -1

local function nothing(value)
  return value == nil or value == false or value == cjson.null
end

-- A kind is what stands before the first colon of a key; without a colon, all of it.
local function due_index(key)
  return R .. ':rdue:' .. key:match('^[^:]*')
end

CHECK.swap = function(w)
  local known = {}
  for _, swap in ipairs(w[2]) do
    local key = swap[1]
    local revision = known[key] or tonumber(redis.call('HGET', R .. ':r:' .. key, 'n') or ABSENT)
    if revision ~= swap[2] then
      return {'stale', key}
    end
    known[key] = nothing(swap[3]) and ABSENT or JUST_WRITTEN
  end
end

local function remove(key, revision)
  local gone = tonumber(redis.call('GET', R .. ':rgone') or ABSENT)
  redis.call('SET', R .. ':rgone', core.num(math.max(gone, revision)))
  redis.call('DEL', R .. ':r:' .. key)
  redis.call('ZREM', R .. ':rs', key)
  redis.call('ZREM', due_index(key), key)
end

-- A register that is made again goes on above every revision that was ever removed, else a swap of somebody who
-- read the old one could hit the new one.
local function write(key, revision, value, due_at)
  local before = revision ~= ABSENT and revision or tonumber(redis.call('GET', R .. ':rgone') or ABSENT)
  local due = nothing(due_at) and '' or core.num(due_at)
  redis.call('HSET', R .. ':r:' .. key, 'v', value, 'n', core.num(before + 1), 'd', due)
  redis.call('ZADD', R .. ':rs', 0, key)
  if due == '' then
    redis.call('ZREM', due_index(key), key)
  else
    redis.call('ZADD', due_index(key), due, key)
  end
end

DO.swap = function(w)
  for _, swap in ipairs(w[2]) do
    if nothing(swap[3]) then
      remove(swap[1], swap[2])
    else
      write(unpack(swap, 1, 4))
    end
  end
end

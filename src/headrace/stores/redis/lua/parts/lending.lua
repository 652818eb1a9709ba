-- How what partitions share of a limit goes from one to another: see `sharing`.
--# use sharing lanes
local SHARES, SHARED = R .. ':shares', R .. ':shared'

local function add(field, number) redis.call('HINCRBY', SHARES, field, number) end

-- {'limits_shared', {{lane, slots or '-', 1 if its rate is in one place}, …}, revision, partitions}: the lanes that are
-- shared, unless they are known for a later revision, or for more partitions.
DO.limits_shared = function(w)
  local revision, most = unpack(redis.call('HMGET', SHARED, 'revision', 'partitions'))
  revision, most = tonumber(revision or 0), tonumber(most or 0)
  if w[3] < revision or (w[3] == revision and w[4] < most) then return end
  local met = {}
  for _, lane in ipairs(redis.call('HKEYS', SHARED)) do met[lane] = true end
  redis.call('DEL', SHARED)
  redis.call('HSET', SHARED, 'revision', w[3], 'partitions', w[4])
  for _, one in ipairs(w[2]) do
    redis.call('HSET', SHARED, one[1], one[2] .. ' ' .. one[3])
    met[one[1]] = true
  end
  met.revision, met.partitions = nil, nil
  for lane in pairs(met) do sharing.set_cap(lane) end
end

-- {'own', lane, slots, rate, tat, now}: in another partition than the home; so many come, or go if they are negative.
DO.own = function(w)
  add('s ' .. w[2], w[3])
  add('r ' .. w[2], w[4])
  sharing.left(w[2], -w[3])
  sharing.changed(w[2], w[3] > 0 or w[4] > 0, w[5], w[6])
end

-- {'lend', lane, from, to, slots, rate, tat, now}: at home, which is partition 0; between others it goes by the home.
DO.lend = function(w)
  local lane, from, to, slots, rate = w[2], w[3], w[4], w[5], w[6]
  for place, sign in pairs({[from] = -1, [to] = 1}) do
    if place ~= 0 then
      for kind, number in pairs({s = slots, r = rate}) do
        add(kind .. ' ' .. lane, sign * number)
        add(kind .. ' ' .. lane .. ' ' .. place, sign * number)
      end
    end
  end
  if from == 0 then sharing.left(lane, slots) end
  sharing.changed(lane, to == 0, w[7], w[8])
end

-- {'may_leave', lane, slots, rate, tat}
CHECK.may_leave = function(w) if not sharing.may_leave(w[2], w[3], w[4], w[5]) then return {'again'} end end

-- {'owes_nothing'}: no other partition.
CHECK.owes_nothing = function() if redis.call('EXISTS', R .. ':intents') == 1 then return {'again'} end end

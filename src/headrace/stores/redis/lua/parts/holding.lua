-- Who holds slots of lanes, and whose turn it is under ordering keys: kept with every change of a job.
--# use lanes

-- The lanes of which the column of a job's slots says that it holds one (core.holding.slot_key).
local function held(slot)
  local from = slot and slot:find('[', 1, true)
  return from and cjson.decode(slot:sub(from)) or {}
end

local function move_slots(id, old, new)
  for _, lane in ipairs(held(old and old.slot)) do
    redis.call('ZREM', R .. ':slots:' .. lane, id)
    lanes.make(lane)
  end
  for _, lane in ipairs(held(new.slot)) do
    redis.call('ZADD', R .. ':slots:' .. lane, new.seq, id)
  end
end

local function lets_pass(id)
  return cjson.decode(redis.call('HGET', R .. ':j:' .. id, 'g')).on_retry == 'pass' -- core.wishes.OnRetry.PASS
end

local function move_turn(id, old, new)
  local lane, runs, ran = new.order, new.state == State.PROCESSING, old and old.state == State.PROCESSING
  if runs and not ran then
    redis.call('ZADD', R .. ':turn:' .. lane, new.seq, id)
    if not lets_pass(id) then redis.call('ZADD', R .. ':begun:' .. lane, new.seq, id) end
  elseif ran and not runs then
    redis.call('ZREM', R .. ':turn:' .. lane, id)
    lanes.touch(lane)
  end
  if jobs.ended(new) then
    redis.call('ZREM', R .. ':begun:' .. lane, id)
    lanes.touch(lane)
  end
end

ON.changed[#ON.changed + 1] = function(id, old, new)
  if new.slot ~= (old and old.slot) then move_slots(id, old, new) end
  if new.order then move_turn(id, old, new) end
end

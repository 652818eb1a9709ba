-- Which jobs a gate may still admit and park, of those about which it has decided.
--# use passing

local function is_ready(queue, member) return redis.call('ZSCORE', R .. ':q:' .. queue .. ':ready', member) end

-- The job that is due next after a member, if it is of the type and wishes what it should.
local function next_alike(queue, member, type, wished)
  local after = redis.call('ZRANGEBYLEX', R .. ':q:' .. queue .. ':ready', '(' .. member, '+', 'LIMIT', 0, 1)[1]
  if not after or after:sub(41, -38) ~= type then return nil end
  return redis.call('HGET', R .. ':j:' .. after:sub(-36), 'g') == wished and after or nil
end

-- The job of a row, or if somebody has taken it the next one of its kind. Last: which came before it.
local function job_of(row, last)
  local queue, member, kind = row[1], row[2], row[5]
  local from = member
  if last and passing.place(last) >= passing.place(member) then
    from = last
  elseif is_ready(queue, member) then
    return member
  end
  return kind and next_alike(queue, from, member:sub(41, -38), kind[1])
end

local function note(plan, there)
  local what = there and 'left' or 'gone'
  plan[what] = plan[what] + 1
end

-- Rows of {queue, member, {number of a lane, …}, slots or nothing, {wishes or nothing} or nothing}, in claim order: the
-- members that are admitted, false for nobody. With wishes it may be another one of the same kind, for it has the same
-- lanes. Rows of {queue, member, number of a lane}: who is parked there. And how many are left due, and how many others
-- have taken.
function picking.plan(lanes, rows, parked)
  local plan, last, taken = {admitted = {}, parked = {}, left = 0, gone = 0}, {}, {}
  for n, row in ipairs(rows) do
    local member, asked = job_of(row, last[row[1]]), {}
    for index, number in ipairs(row[3]) do asked[index] = lanes[number] end
    if member then last[row[1]] = member end
    local entered = member and passing.enter(asked, row[1], member)
    plan.admitted[n] = entered and member
    if entered then taken[member] = true else note(plan, member) end
  end
  for n, row in ipairs(parked) do
    local queue, member, lane = row[1], row[2], lanes[row[3]]
    local there = not taken[member] and is_ready(queue, member)
    plan.parked[n] = there and (passing.is_closed(lane) or passing.is_behind(lane, queue, member))
    if not plan.parked[n] then note(plan, there) end
  end
  return plan
end

-- Writes what holders note. ARGV: now, how many lines are kept, JSON [[id, fence, progress, checkpoint, timed out
-- at, lines, steps], …]. Reply: for each 1, or 0 if the job is not held under this fence.
--# use steps events
local now, kept, answers = tonumber(ARGV[1]), tonumber(ARGV[2]), {}
core.go_on()

local function write_fields(id, note)
  local fields = {'noted_at', now}
  local function set(name, value)
    fields[#fields + 1] = name
    fields[#fields + 1] = value
  end
  if note[3] then set('progress', note[3]) end
  if note[4] then set('checkpoint', note[4]) end
  if note[5] then
    set('timed_out_at', note[5])
    set('timed_out_fence', note[2])
  end
  if #fields == 2 then return end
  local told = {before = redis.call('HGET', R .. ':note:' .. id, 'progress'), progress = note[3] or nil}
  redis.call('HSET', R .. ':note:' .. id, unpack(fields))
  redis.call('HSET', R .. ':j:' .. id, 'N', 1)
  for _, hook in ipairs(ON.noted) do hook(id, told, now) end
end

local function write_lines(id, lines)
  local key = R .. ':lines:' .. id
  local beyond = redis.call('RPUSH', key, unpack(lines)) - kept
  if beyond > 0 then
    redis.call('LTRIM', key, -kept, -1)
    redis.call('HINCRBY', R .. ':note:' .. id, 'lines_from', beyond)
  end
end

for n, note in ipairs(cjson.decode(ARGV[3])) do
  local id = note[1]
  local seen = redis.call('HMGET', R .. ':j:' .. id, 'n', 's')
  if seen[2] == State.PROCESSING and tonumber(seen[1]) == note[2] then
    write_fields(id, note)
    if note[6][1] then write_lines(id, note[6]) end
    if note[7][1] then steps.write(id, note[7]) end
    answers[n] = 1
  else
    answers[n] = 0
  end
end
core.flush()
return answers

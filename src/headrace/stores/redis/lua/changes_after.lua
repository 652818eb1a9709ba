-- A page of the log of changes. ARGV: 'now', 'oldest' or a number; how many are looked at; the job, queue and type
-- that are wanted, or ''. Reply: epoch, since, newest, the number after which was looked, the last number looked at
-- (nil if none), and the changes that fit, each its number and its columns. Empty where no log is kept.

local log = redis.call('HMGET', R .. ':log', 'epoch', 'since', 'number', 'keep_count')
if (tonumber(log[4] or '') or 0) == 0 then return {} end
local since, newest = tonumber(log[2]), tonumber(log[3] or '0')
local begin = tonumber(ARGV[1]) or (ARGV[1] == 'now' and newest or since)
local wanted = {[4] = ARGV[3], [6] = ARGV[4], [8] = ARGV[5]} -- job, queue, type, after their names

local function fits(columns)
  for index, value in pairs(wanted) do
    if value ~= '' and columns[index] ~= value then return false end
  end
  return true
end

local function told(number, columns)
  local row = {number}
  for index = 2, #columns, 2 do row[#row + 1] = columns[index] end
  return row
end

local last, found = false, {}
if ARGV[1] ~= 'now' then
  local looked = redis.call('XRANGE', R .. ':changes', '(' .. core.num(begin) .. '-0', '+', 'COUNT', ARGV[2])
  for _, entry in ipairs(looked) do
    last = tonumber(entry[1]:match('^%d+'))
    if fits(entry[2]) then found[#found + 1] = told(last, entry[2]) end
  end
end
return {tonumber(log[1]), since, newest, begin, last, found}

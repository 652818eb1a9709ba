-- The first due messages of a type in a queue, in the order of claims.
-- ARGV: 1 queue, 2 type, 3 now, 4 how many are wanted, 5 after which member, 6 how many of the queue to look at.
-- Reply: the revision of the definitions of limits; {{member, wishes, due}, …}; and after which member to look on, if
-- more are wanted and there may be any.
--# use jobs claims
local revision = redis.call('HGET', R .. ':r:limits', 'n') or '0'
local queue, wanted, most, at_once = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[6])
if redis.call('HGET', R .. ':queues', queue) == '1' then return {revision, {}, false} end
if ARGV[5] == '' then claims.make_due(queue, tonumber(ARGV[3])) end
local from = ARGV[5] == '' and '-' or '(' .. ARGV[5]
local members = redis.call('ZRANGEBYLEX', R .. ':q:' .. queue .. ':ready', from, '+', 'LIMIT', 0, at_once)
local found = {}
for _, member in ipairs(members) do
  if #found == most then break end
  if member:sub(41, -38) == wanted then
    local job = redis.call('HMGET', R .. ':j:' .. member:sub(-36), 'g', 'd')
    found[#found + 1] = {member, job[1], job[2]}
  end
end
return {revision, found, #found < most and #members == at_once and members[at_once]}

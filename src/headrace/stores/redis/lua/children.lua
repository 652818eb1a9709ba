-- The next children of some parents, each once. ARGV: 1 the seq beyond which, 2 how many, then the parents'
-- ids. Reply: {seq, id, seq, id, …} in order of seq.
--# use merge
local limit, keys, reply = tonumber(ARGV[2]), {}, {}
for n = 3, #ARGV do
  keys[n - 2] = R .. ':down:' .. ARGV[n]
end
local function visit(child, seq)
  if child ~= reply[#reply] then
    reply[#reply + 1] = core.num(seq)
    reply[#reply + 1] = child
  end
  return #reply == 2 * limit
end
merge.walk(keys, ARGV[1], false, math.ceil(limit / math.max(1, #keys)) + 1, visit)
return reply

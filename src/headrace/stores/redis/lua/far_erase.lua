-- Erases ended jobs of which was asked elsewhere whether anybody needs them. ARGV: ids. Reply: how many.
--# use erasing
local ids = {}
for _, id in ipairs(ARGV) do
  if ENDED[redis.call('HGET', R .. ':j:' .. id, 's')] then ids[#ids + 1] = id end
end
return erasing.erase(ids, #ids)[2]

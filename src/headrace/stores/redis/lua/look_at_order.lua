-- Looks on for the first job of an ordering key.
-- ARGV: the ordering key, the seq after which to look, now, and how the lanes of batches begin.
-- Reply: its seq; and, where it was not found, the seq after which to look next.
--# use orders
local first, after = orders.first(ARGV[1], '(' .. ARGV[2], tonumber(ARGV[3]), ARGV[4])
return { first, after }

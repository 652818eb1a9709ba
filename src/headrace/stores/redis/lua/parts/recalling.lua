-- How what a partition has of a limit is asked back while jobs hold it: see `sharing`.
--# use sharing
local SHARES = R .. ':shares'

-- {'recall', lane, slots, leaving, now}: so many are to leave when they are free, and are given to nobody any more; as many
-- fewer if it is negative. Not if others than so many are leaving by then, or there are not enough.
CHECK.recall = function(w)
  local leaving, own = sharing.number('l ' .. w[2]), sharing.owned(w[2])
  if leaving ~= w[4] or not own or own < w[3] or leaving + w[3] < 0 then return {'again'} end
end

DO.recall = function(w)
  redis.call('HINCRBY', SHARES, 'l ' .. w[2], w[3])
  if w[3] > 0 then redis.call('HSET', SHARES, 'c ' .. w[2], core.num(w[5])) end
  sharing.changed(w[2])
end

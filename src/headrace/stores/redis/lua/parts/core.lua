-- What every script has. KEYS has the root of a namespace, `R`, and no other: all keys are made of it and have its hash
-- tag. core.flush() sends the changes that were gathered: once at the end, and before an index is read that this script
-- may have changed.
--# use indexes tallies

function core.some(value)
  if value and value ~= '' and value ~= cjson.null then return value end
  return nil
end

-- A server whose memory is full refuses a script at its first write if that may take memory, and lets later ones
-- through. What brings no jobs begins with a write that takes none: those that are there must come to their ends.
function core.go_on() redis.call('ZREM', R .. ':lease', '') end

function core.num(n) return string.format('%.0f', n) end

function core.flush()
  indexes.flush()
  tallies.flush()
end

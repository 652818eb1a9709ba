-- How many jobs wait in a queue. ARGV: queue. Reply: how many.
--# use room
return room.waiting(ARGV[1])

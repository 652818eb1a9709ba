"""Moving a namespace from one store to another, through the store protocol alone.

The source is paused, copied oldest first, and compared until nothing differs; nothing is deleted there. One
register on each side says how far the move is (``registers``); the one at the target is written by every op
that takes jobs in, and so is the fence by which only one mover at a time can write.
"""

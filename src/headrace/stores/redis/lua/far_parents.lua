-- The parents of a job, wherever they are. ARGV: its id. Reply: {number, parent, policy} for each, in order.
--# use flows
return flows.parents(ARGV[1])

-- Does writes, all or none: first every check, then every write in order.
-- ARGV[1]: JSON [["name", argument, …], …]. Reply: {"ok", answers}, or what a check refused with.
--# use *
local writes = cjson.decode(ARGV[1])
local brings_jobs = false
for _, w in ipairs(writes) do
  local check = CHECK[w[1]]
  local refusal = check and check(w)
  if refusal then return refusal end
  brings_jobs = brings_jobs or w[1] == 'insert'
end
if not brings_jobs then core.go_on() end
local answers = {}
for n, w in ipairs(writes) do
  local act = DO[w[1]]
  answers[n] = act and act(w) or false
end
core.flush()
return {'ok', answers}

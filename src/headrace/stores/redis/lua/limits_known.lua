-- What a partition knows of the definitions of limits. Reply: their revision and the digest of their text, 0 and '' for none;
-- and the revision of those that are shared.
local value, revision = unpack(redis.call('HMGET', R .. ':r:limits', 'v', 'n'))
local shared = redis.call('HGET', R .. ':shared', 'revision')
return {tonumber(revision or 0), value and redis.sha1hex(value) or '', tonumber(shared or 0)}

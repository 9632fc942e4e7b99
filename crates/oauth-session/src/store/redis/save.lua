-- KEYS[1]: a record. ARGV: the version it must have, the version it gets, what to save.
-- 1 if it was saved, 0 if it is at another version.
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if version ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'record', ARGV[3])
return 1

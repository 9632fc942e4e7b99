-- KEYS[1]: a record. ARGV: the version it must have, what to save.
-- The version it has now, as a text; nothing if it is at another version.
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if version ~= ARGV[1] then
  return false
end
local time = redis.call('TIME')
local next = math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), tonumber(version) + 1)
next = string.format('%.0f', next)
redis.call('HSET', KEYS[1], 'version', next, 'record', ARGV[2])
-- It may have been removed before.
redis.call('PERSIST', KEYS[1])
return next

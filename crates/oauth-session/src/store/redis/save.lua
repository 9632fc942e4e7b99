-- KEYS: a record, and when the records of its place are due, and end. ARGV: the version it must have, what to
-- save, when it is due in seconds (inf for never), its name, for how many milliseconds it is told that
-- it was removed, when it ends in seconds (empty for never).
-- Returns the new version as a string, or false if the stored version is not the expected one.
-- Changes nothing, but only a primary does it: what a replica knows of versions and leases may be old.
redis.call('HDEL', KEYS[1], '')
local version = redis.call('HGET', KEYS[1], 'version') or '0'
if version ~= ARGV[1] then
  return false
end
local time = redis.call('TIME')
local next = math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), tonumber(version) + 1)
next = string.format('%.0f', next)
redis.call('HSET', KEYS[1], 'version', next, 'record', ARGV[2])
if ARGV[2] == '' then
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
  redis.call('ZREM', KEYS[2], ARGV[4])
  redis.call('ZREM', KEYS[3], ARGV[4])
  return next
end
if ARGV[6] == '' then
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[4])
  -- It may have been removed before, or had an end.
  redis.call('PERSIST', KEYS[1])
  redis.call('ZREM', KEYS[3], ARGV[4])
else
  -- Those whose records the server has deleted by now, a few at a time.
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', time[1], 'LIMIT', 0, 16)) do
    redis.call('ZREM', KEYS[2], name)
    redis.call('ZREM', KEYS[3], name)
  end
  redis.call('ZADD', KEYS[2], ARGV[3], ARGV[4])
  redis.call('ZADD', KEYS[3], ARGV[6], ARGV[4])
  -- Last: it may be over already.
  redis.call('PEXPIREAT', KEYS[1], ARGV[6] .. '000')
end
return next

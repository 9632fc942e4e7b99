-- KEYS: a record, and when the records of its place are due, and end. ARGV: for how many milliseconds it is told
-- that it was removed, its name.
-- Returns 1 if there was a record, 0 if there was none or only a tombstone.
local was_there = redis.call('EXISTS', KEYS[1])
-- Whatever it is: what cannot be read has to go too.
local stored = redis.pcall('HMGET', KEYS[1], 'version', 'record')
local version = not stored.err and tonumber(stored[1]) or 0
if not stored.err and stored[2] == '' then
  was_there = 0
end
local time = redis.call('TIME')
local next = math.max(tonumber(time[1]) * 1000000 + tonumber(time[2]), version + 1)
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'version', string.format('%.0f', next), 'record', '')
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[2])
return was_there

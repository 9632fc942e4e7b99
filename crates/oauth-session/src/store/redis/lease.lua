-- KEYS[1]: a record. ARGV: who takes its lease, for how many microseconds; 0 gives it back.
-- 0 if it was taken or given back, else the microseconds until another's is over.
-- A write that changes nothing, so that a replica refuses the script: its versions and leases may be stale.
redis.call('HDEL', KEYS[1], '')
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local held = redis.call('HMGET', KEYS[1], 'holder', 'until')
local ttl = tonumber(ARGV[2])

if held[1] and held[1] ~= ARGV[1] then
  local rest = tonumber(held[2]) - now
  if rest > 0 then
    return ttl > 0 and rest or 0
  end
end
if ttl > 0 then
  redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'until', string.format('%.0f', now + ttl))
  -- A record that was removed goes by itself, but not with a lease.
  local left = redis.call('PTTL', KEYS[1])
  if left >= 0 and left * 1000 < ttl then
    redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(ttl / 1000)))
  end
else
  redis.call('HDEL', KEYS[1], 'holder', 'until')
end
return 0

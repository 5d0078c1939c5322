-- The client goes, and may come back at once: in ARGV[3] milliseconds its channel will count as silent for ARGV[2],
-- unless it is read before.  ARGV: queue id, milliseconds, milliseconds.
local seen = now() - ARGV[2] + ARGV[3]
if tonumber(redis.call('ZSCORE', SEEN, ARGV[1]) or 0) > seen then
  redis.call('ZADD', SEEN, seen, ARGV[1])
end
return 0

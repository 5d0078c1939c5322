-- Channels that may be missing from the seen set, as all are in an emptied Redis, count as seen now.
-- ARGV: queue ids...
local time = now()
for _, id in ipairs(ARGV) do
  redis.call('ZADD', SEEN, 'NX', time, id)
end
return 0

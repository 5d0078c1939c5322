-- Make a channel's state, unless it is there.  ARGV: queue id, 'new' or 'lost'.
-- A channel whose state was lost begins at a position beyond any that its reader can hold, so that
-- every poll of before is told to resync.
-- Returns the position to read from.
local batch = redis.call('HGET', STATE .. ARGV[1], 'batch')
if batch then
  return tonumber(batch)
end
local time = now()
batch = ARGV[2] == 'new' and 1 or time
redis.call('HSET', STATE .. ARGV[1], 'batch', batch, 'sent', 0, 'acked', 0, 'last', 0)
redis.call('ZADD', SEEN, time, ARGV[1])
return batch

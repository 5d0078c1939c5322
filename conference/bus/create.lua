-- Make a channel's state, unless it is there.  ARGV: queue id, 'new' or 'lost'.
-- A channel whose state was lost begins with positions beyond any that its reader can hold, so that
-- every poll and stream of before is told to resync.
-- Returns the position to read from.
local batch = redis.call('HGET', STATE .. ARGV[1], 'batch')
if batch then
  return tonumber(batch)
end
local time = now()
local base = ARGV[2] == 'new' and 0 or time
batch = base + 1
redis.call('HSET', STATE .. ARGV[1], 'batch', batch, 'sent', base, 'acked', base, 'last', base)
redis.call('ZADD', SEEN, time, ARGV[1])
return batch

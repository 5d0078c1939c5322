-- One step of a stream (SSE, WebSocket): a reader that stays, and holds a position instead of a batch number.
-- ARGV: queue id, reader, mode, position ('' for the first unacknowledged event), acknowledged position
--       ('' for none), most events.
--   mode 'first': take the channel over. A parked poll is replaced, batch numbers that polls hold no longer
--   count, and what lies at or before the position is acknowledged.   mode 'again': go on.
-- Returns {1, position, events...} the events up to position, {0, position} nothing yet, or only begun,
--   {2, position} the position does not hold: go on from this one, {3} replaced, {4} no such channel.
local state, list, me, first = STATE .. ARGV[1], EVENTS .. ARGV[1], ARGV[2], ARGV[3] == 'first'
local s = redis.call('HMGET', state, 'batch', 'acked', 'last', 'reader')
if not s[1] then
  return {4}
end
local acked, last = tonumber(s[2]), tonumber(s[3])
local reader = s[4]
if not first and reader ~= me then
  return {3}
end
redis.call('ZADD', SEEN, now(), ARGV[1])

local position = tonumber(ARGV[4]) or acked
local holds = position >= acked and position <= last
local confirmed = tonumber(ARGV[5]) or (first and position) or acked
if holds and confirmed > acked and confirmed <= position then
  redis.call('LTRIM', list, confirmed - acked, -1)
  acked = confirmed
  redis.call('HSET', state, 'acked', acked, 'sent', acked)
end
if first then
  if reader then
    wake(reader)
  end
  redis.call('HSET', state, 'batch', s[1] + 2, 'sent', acked, 'streamed_to', acked, 'reader', me)
end
redis.call('HDEL', state, 'wake_sent')
if not holds then
  return {2, acked}
end
if first or position == last then
  return {0, position}
end
local from = position - acked
local events = redis.call('LRANGE', list, from, from + ARGV[6] - 1)
position = position + #events
redis.call('HSET', state, 'streamed_to', position)
table.insert(events, 1, position)
table.insert(events, 1, 1)
return events

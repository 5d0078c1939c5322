-- One step of a pending GET.
-- ARGV: queue id, ack, reader, mode, most events, most bytes.
--   mode 'first': a new poll. It takes the place of a parked one, and parks when there is nothing to read.
--   mode 'again': the parked poll was woken.   mode 'last': its time is over; it does not stay parked.
-- Batch number `batch` is the one to be asked for. It is frozen when sent > acked: it then holds the
-- events acked+1 .. sent, and asking for batch+1 acknowledges it.
-- Returns {1, events...} a batch, {0} nothing yet, {2, batch} resync from there, {3} replaced,
--   {4} no such channel.
local state, list, me, mode = STATE .. ARGV[1], EVENTS .. ARGV[1], ARGV[3], ARGV[4]
local s = redis.call('HMGET', state, 'batch', 'sent', 'acked', 'last', 'reader', 'handed')
if not s[1] then
  return {4}
end
local ack, batch = tonumber(ARGV[2]), tonumber(s[1])
local sent, acked, last = tonumber(s[2]), tonumber(s[3]), tonumber(s[4])
local reader = s[5]
if mode ~= 'first' and reader ~= me then
  return {3}
end
redis.call('ZADD', SEEN, now(), ARGV[1])

if ack == batch + 1 and sent > acked then
  redis.call('LTRIM', list, sent - acked, -1)
  acked, batch = sent, ack
  redis.call('HSET', state, 'batch', batch, 'acked', acked)
elseif ack ~= batch then
  if reader == me then
    redis.call('HDEL', state, 'reader', 'woken')
  end
  return {2, batch}
end
if mode == 'first' and reader then
  wake(reader)
end
if s[6] then
  redis.call('HDEL', state, 'handed')
end

if last == acked then
  if mode == 'last' then
    redis.call('HDEL', state, 'reader', 'woken')
  elseif mode == 'first' then
    redis.call('HSET', state, 'reader', me)
    redis.call('HDEL', state, 'woken')
  else
    redis.call('HDEL', state, 'woken')
  end
  return {0}
end

if reader then
  redis.call('HDEL', state, 'reader', 'woken')
end
if sent > acked then
  local events = redis.call('LRANGE', list, 0, sent - acked - 1)
  table.insert(events, 1, 1)
  return events
end
local events = redis.call('LRANGE', list, 0, ARGV[5] - 1)
local batched, bytes, most = {1}, 0, tonumber(ARGV[6])
for i, event in ipairs(events) do
  bytes = bytes + #event
  if i > 1 and bytes > most then
    break
  end
  batched[i + 1] = event
end
redis.call('HSET', state, 'sent', acked + #batched - 1)
return batched

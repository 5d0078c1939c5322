-- One step of a pending GET.
-- ARGV: queue id, ack, reader, mode, most events, most bytes,
--   and, for a patient reader (UCWA): timeout, medium, low, rank, each '' for what it was last; what the first
--   three are when it never was said; silence. Times in milliseconds.
--   mode 'first': a new poll. It takes the place of a parked one, and parks when there is nothing to read.
--   mode 'again': the parked poll was woken, or its hold is over.   mode 'last': its time is over; it does not
--   stay parked.   mode 'drop', then the number of its last event: the batch has nothing that its reader can use
--   and was not sent; take it for acknowledged and go on waiting. Of a batch that is not there any more: harmless.
--
-- Batch number `batch` is the one to be asked for. It is frozen when sent > acked: it then holds the
-- events acked+1 .. sent, and asking for batch+1 acknowledges it.
--
-- A patient reader says how long events of medium and low urgency may be held back for others to come; whatever
-- is released, all goes with it. Its empty answers are frozen too (`hollow`), so that batch+1 is always the next
-- position. Of two such readers the one of lower rank is refused. One that was silent for long is told so with
-- the first batch it gets (`resume`), and what it said before counts no more.
--
-- Returns {1, resumed, last event's number, events...} a batch, {0} nothing yet or, to a patient reader,
--   {0, timeout, hold or -1}, {2, batch} resync from there, {3} replaced, {4} no such channel, {5, resumed} an
--   empty batch.
local id, me, mode = ARGV[1], ARGV[3], ARGV[4]
local state, list = STATE .. id, EVENTS .. id
local patient = ARGV[7] ~= nil
local s = redis.call('HMGET', state, 'batch', 'sent', 'acked', 'last', 'reader', 'handed')
if not s[1] then
  return {4}
end
local batch, sent, acked, last = tonumber(s[1]), tonumber(s[2]), tonumber(s[3]), tonumber(s[4])
local ack, reader = tonumber(ARGV[2]), s[5]
local p = {}
if patient then
  local names = {'newest', 'resume', 'hollow', 'urgent', 'soon', 'later', 'timeout', 'medium', 'low', 'rank'}
  for i, value in ipairs(redis.call('HMGET', state, unpack(names))) do
    p[names[i]] = i == 1 and value or tonumber(value)
  end
end
if mode == 'drop' and p.newest ~= me or (mode == 'again' or mode == 'last') and reader ~= me then
  return {3}
end

local time = now()
if mode == 'first' and patient then
  local silent = time - (tonumber(redis.call('ZSCORE', SEEN, id)) or time)
  local rank = tonumber(ARGV[10]) or p.rank or 0
  if reader and ack == batch and rank < (p.rank or 0) and silent < 15000 then
    return {3} -- a reader that is silent for longer than that died
  end
  if p.newest and silent > tonumber(ARGV[14]) then
    redis.call('HDEL', state, 'timeout', 'medium', 'low', 'rank')
    redis.call('HSET', state, 'resume', 1)
    p = {newest = p.newest, hollow = p.hollow, resume = 1, found = true}
  end
end
redis.call('ZADD', SEEN, time, id)

if ack == batch + 1 and (sent > acked or p.hollow == batch) then
  redis.call('LTRIM', list, sent - acked, -1)
  acked, batch = sent, ack
  redis.call('HSET', state, 'batch', batch, 'acked', acked)
  if p.hollow then
    redis.call('HDEL', state, 'hollow')
    p.hollow = nil
  end
  if p.resume and not p.found then
    redis.call('HDEL', state, 'resume')
    p.resume = nil
  end
elseif ack ~= batch then
  if reader == me then
    redis.call('HDEL', state, 'reader', 'woken')
  end
  return {2, batch}
end
if mode == 'first' then
  if reader then
    wake(reader)
  end
  if patient then
    redis.call('HSET', state, 'newest', me)
    for i, name in ipairs({'timeout', 'medium', 'low', 'rank'}) do
      if ARGV[6 + i] ~= '' then
        redis.call('HSET', state, name, ARGV[6 + i])
        p[name] = tonumber(ARGV[6 + i])
      end
    end
  end
elseif mode == 'drop' and sent > acked and sent == tonumber(ARGV[15]) then
  redis.call('LTRIM', list, sent - acked, -1)
  acked = sent
  redis.call('HSET', state, 'acked', acked)
end
if s[6] then
  redis.call('HDEL', state, 'handed')
end

local function released()
  -- Milliseconds until what is there may be told.
  if not patient or p.resume or (p.urgent or 0) > acked or not (p.soon or p.later) then
    return 0
  end
  local soon = p.soon and p.soon + (p.medium or tonumber(ARGV[12])) or math.huge
  local later = p.later and p.later + (p.low or tonumber(ARGV[13])) or math.huge
  return math.max(0, math.min(soon, later) - time)
end

if last == acked and (p.soon or p.later) then
  redis.call('HDEL', state, 'soon', 'later') -- of events that a stream read
end
if sent == acked and p.hollow ~= batch then
  local hold = last > acked and released() or -1
  if hold ~= 0 and mode ~= 'last' and not p.resume then
    if mode ~= 'again' then
      redis.call('HSET', state, 'reader', me)
    end
    redis.call('HDEL', state, 'woken')
    return patient and {0, p.timeout or tonumber(ARGV[11]), hold} or {0}
  elseif hold < 0 then
    redis.call('HDEL', state, 'reader', 'woken')
    if not patient then
      return {0}
    end
    redis.call('HSET', state, 'hollow', batch)
    return {5, p.resume or 0}
  end
end

if reader then
  redis.call('HDEL', state, 'reader', 'woken')
end
if p.hollow == batch then
  return {5, p.resume or 0}
end
if sent > acked then
  local events = redis.call('LRANGE', list, 0, sent - acked - 1)
  return {1, p.resume or 0, sent, unpack(events)}
end
local events = redis.call('LRANGE', list, 0, ARGV[5] - 1)
local batched, bytes, most = {1, p.resume or 0, 0}, 0, tonumber(ARGV[6])
for i, event in ipairs(events) do
  bytes = bytes + #event
  if i > 1 and bytes > most then
    break
  end
  batched[i + 3] = event
end
batched[3] = acked + #batched - 3
redis.call('HSET', state, 'sent', batched[3])
redis.call('HDEL', state, 'soon', 'later', 'hollow')
if batched[3] < last then
  redis.call('HSET', state, 'urgent', last) -- what was released and found no room waits no longer
end
return batched

-- One step of a pending GET: what is there, and in which step it is, decide the answer.
--
-- | there is                       | first    | again    | last     | drop     |
-- |--------------------------------|----------|----------|----------|----------|
-- | no such channel                | missing  | missing  | missing  | missing  |
-- | another reader in its place    |          | replaced | replaced | replaced |
-- | a parked reader of higher rank | replaced |          |          |          |
-- | another position               | resync   | resync   | resync   | resync   |
-- | a frozen batch                 | batch    | batch    | batch    |          |
-- | a frozen batch without events  | empty    | empty    | empty    | empty    |
-- | an event that is due           | batch    | batch    | batch    | batch    |
-- | an event that may be held back | wait     | wait     | batch    | wait     |
-- | nothing, after a long silence  | empty    | empty    | empty    | empty    |
-- | nothing                        | wait     | wait     | empty    | wait     |
--
-- The first row that holds decides; an empty field can't be, or is decided by the rows below it.
-- tests/integration/test_poll_table.py reads this table and tries each field.
--
-- Steps. first: a new poll; it takes the place of a parked one. again: the parked poll was woken, or its hold is
-- over. last: its time is over. drop: the batch whose last event is `dropped` has nothing that its reader can use
-- and was not sent; take it for acknowledged and go on. Of a batch that is not there any more: harmless.
--
-- Batch number `batch` is the one to be asked for. It is frozen when it was sent, with the events acked+1 .. sent or
-- with none (`empty_batch`), and asking for batch+1 acknowledges it. So every answer but `resync` moves the position.
--
-- A reader says how long it waits, and for how long events of medium and of low urgency may be held back for others
-- to come; whatever is due takes all others along. What it does not say is as it was said last, or else the default.
-- One that was silent for longer than `silence` begins anew: what was said counts no more, and it is told so
-- (`resumed`) until it has acknowledged that.  All times are in milliseconds.
--
-- Returns {MISSING}, {REPLACED}, {RESYNC, batch}, {EMPTY, resumed}, {BATCH, resumed, last event's number, events...}
--   or {WAIT, timeout, milliseconds until a held event is due or -1}.
local WAIT, BATCH, RESYNC, REPLACED, MISSING, EMPTY = 0, 1, 2, 3, 4, 5
local DEAD_AFTER = 15000 -- a parked reader that was not seen for longer has died
local TERMS = {'timeout', 'medium', 'low', 'rank'}
local FIELDS = {
  'batch', 'sent', 'acked', 'last', 'empty_batch', 'streamed_to', 'resume', 'due', 'medium_since', 'low_since',
  'timeout', 'medium', 'low', 'rank', 'reader', 'last_poll',
}
local NUMBERS = 14 -- of them, the first

local id, ack, me, step, most, most_bytes = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local said = {timeout = ARGV[7], medium = ARGV[8], low = ARGV[9], rank = ARGV[10]} -- '' for what it was last
local default = {timeout = tonumber(ARGV[11]), medium = tonumber(ARGV[12]), low = tonumber(ARGV[13])}
local silence, dropped = tonumber(ARGV[14]), tonumber(ARGV[15])
local state, list, time = STATE .. id, EVENTS .. id, now()

local c = {} -- the channel
for i, value in ipairs(redis.call('HMGET', state, unpack(FIELDS))) do
  c[FIELDS[i]] = value and (i <= NUMBERS and tonumber(value) or value) or nil
end

local function is_replaced()
  if step == 'drop' then
    return c.last_poll ~= me
  end
  return step ~= 'first' and c.reader ~= me
end

local function is_outranked(silent)
  local rank = tonumber(said.rank) or c.rank or 0
  return c.reader and ack == c.batch and rank < (c.rank or 0) and silent < DEAD_AFTER
end

local function begin_anew()
  redis.call('HDEL', state, unpack(TERMS))
  redis.call('HSET', state, 'resume', 1)
  for _, name in ipairs(TERMS) do
    c[name] = nil
  end
  c.resume = 1
end

local function trim(upto)
  if upto > c.acked then
    redis.call('LTRIM', list, upto - c.acked, -1)
    c.acked = upto
    redis.call('HSET', state, 'acked', upto)
  end
end

local function acknowledge(resumed_before)
  trim(c.sent)
  c.batch = ack
  redis.call('HSET', state, 'batch', ack)
  if c.empty_batch then
    redis.call('HDEL', state, 'empty_batch')
    c.empty_batch = nil
  end
  if resumed_before then
    redis.call('HDEL', state, 'resume')
    c.resume = nil
  end
end

local function take_place()
  if c.reader then
    wake(c.reader)
  end
  local changes = {'last_poll', me}
  for _, name in ipairs(TERMS) do
    local value = tonumber(said[name])
    if value and value ~= c[name] then
      c[name] = value
      changes[#changes + 1] = name
      changes[#changes + 1] = value
    end
  end
  redis.call('HSET', state, unpack(changes))
end

local function until_due()
  -- Milliseconds until what is there may be told; -1 when nothing is.
  if c.last == c.acked then
    return -1
  end
  if c.resume or (c.due or 0) > c.acked or not (c.medium_since or c.low_since) then
    return 0
  end
  local medium = c.medium_since and c.medium_since + (c.medium or default.medium) or math.huge
  local low = c.low_since and c.low_since + (c.low or default.low) or math.huge
  return math.max(0, math.min(medium, low) - time)
end

local function park(due)
  if step ~= 'again' then
    redis.call('HSET', state, 'reader', me)
  end
  redis.call('HDEL', state, 'wake_sent')
  return {WAIT, c.timeout or default.timeout, due}
end

local function leave()
  if c.reader then
    redis.call('HDEL', state, 'reader', 'wake_sent')
  end
end

local function empty()
  leave()
  if c.empty_batch ~= c.batch then
    redis.call('HSET', state, 'empty_batch', c.batch)
  end
  return {EMPTY, c.resume or 0}
end

local function frozen()
  leave()
  return {BATCH, c.resume or 0, c.sent, unpack(redis.call('LRANGE', list, 0, c.sent - c.acked - 1))}
end

local function freeze()
  leave()
  local batch, bytes = {BATCH, c.resume or 0, 0}, 0
  for i, event in ipairs(redis.call('LRANGE', list, 0, most - 1)) do
    bytes = bytes + #event
    if i > 1 and bytes > most_bytes then
      break
    end
    batch[i + 3] = event
  end
  local sent = c.acked + #batch - 3
  batch[3] = sent
  redis.call('HSET', state, 'sent', sent)
  if c.medium_since or c.low_since then
    redis.call('HDEL', state, 'medium_since', 'low_since')
  end
  if sent < c.last then
    redis.call('HSET', state, 'due', c.last) -- what was released and found no room waits no longer
  end
  return batch
end

if not c.batch then
  return {MISSING}
end
if is_replaced() then
  return {REPLACED}
end
local resumed_before = c.resume
if step == 'first' and c.last_poll then
  local silent = time - (tonumber(redis.call('ZSCORE', SEEN, id)) or time)
  if is_outranked(silent) then
    return {REPLACED}
  end
  if silence and silent > silence then
    begin_anew()
    resumed_before = nil
  end
end
redis.call('ZADD', SEEN, time, id)

if ack == c.batch + 1 and (c.sent > c.acked or c.empty_batch == c.batch) then
  acknowledge(resumed_before)
elseif ack ~= c.batch then
  if c.reader == me then
    leave()
  end
  return {RESYNC, c.batch}
end
if step == 'first' then
  take_place()
elseif step == 'drop' and c.sent == dropped then
  trim(c.sent)
end
if c.streamed_to then
  redis.call('HDEL', state, 'streamed_to')
end
if c.last == c.acked and (c.medium_since or c.low_since) then
  redis.call('HDEL', state, 'medium_since', 'low_since') -- of events that a stream read
end

if c.sent > c.acked then
  return frozen()
end
if c.empty_batch == c.batch then
  return empty()
end
local due = until_due()
if due == 0 then
  return freeze()
end
if step ~= 'last' and not c.resume then
  return park(due)
end
return due > 0 and freeze() or empty()

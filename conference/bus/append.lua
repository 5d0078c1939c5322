-- Append one event to channels, once per event id, and wake their readers.
-- ARGV: event id ('' for none), seconds to remember it, caller's process, cap, urgency (0 low, 1 medium, 2 high),
--   event, queue ids...
-- Returns 1, or 0 when the event was appended before, then the tokens of readers in the caller's own
-- process; those of others get a message.
if ARGV[1] ~= '' and not redis.call('SET', EVENT .. ARGV[1], 1, 'NX', 'EX', ARGV[2]) then
  return {0}
end
local cap, urgency = tonumber(ARGV[4]), tonumber(ARGV[5])
local time = urgency < 2 and now()
local here, elsewhere = {1}, {}

local function overflow(state, list, last)
  local s = redis.call('HMGET', state, 'batch', 'acked', 'streamed_to')
  local acked, streamed_to = tonumber(s[2]), tonumber(s[3] or s[2])
  if streamed_to > acked then
    -- A stream's reader was handed these: the older half of them is kept no longer.
    local drop = math.ceil((streamed_to - acked) / 2)
    redis.call('LTRIM', list, drop, -1)
    redis.call('HSET', state, 'sent', acked + drop, 'acked', acked + drop)
  else
    -- Moves the position out of the reader's reach: whatever it asks for, it is told to resync.
    redis.call('DEL', list)
    redis.call('HSET', state, 'batch', s[1] + 2, 'sent', last, 'acked', last)
    redis.call('HDEL', state, 'medium_since', 'low_since')
  end
end

local function rouses(state, last, streamed_to)
  -- Whether a reader should look. One who holds events back was told, with the first of them, until when.
  if urgency == 2 or streamed_to then
    redis.call('HSET', state, 'last', last, 'due', last)
    return true
  end
  redis.call('HSET', state, 'last', last)
  return redis.call('HSETNX', state, urgency == 1 and 'medium_since' or 'low_since', time) == 1
end

for i = 7, #ARGV do
  local state, list = STATE .. ARGV[i], EVENTS .. ARGV[i]
  local s = redis.call('HMGET', state, 'last', 'reader', 'wake_sent', 'streamed_to')
  if s[1] then
    local last = s[1] + 1
    local roused = rouses(state, last, s[4])
    if redis.call('RPUSH', list, ARGV[6]) > cap then
      overflow(state, list, last)
      roused = true
    end
    local reader = s[2]
    if roused and reader and reader ~= s[3] then
      redis.call('HSET', state, 'wake_sent', reader)
      local process, token = string.sub(reader, 1, 16), string.sub(reader, 17)
      if process == ARGV[3] then
        here[#here + 1] = token
      else
        local others = elsewhere[process]
        elsewhere[process] = others and others .. ' ' .. token or token
      end
    end
  end
end
for process, tokens in pairs(elsewhere) do
  redis.call('PUBLISH', WAKE .. process, tokens)
end
return here

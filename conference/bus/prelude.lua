-- Shared by all scripts; the names of keys come before it (scripts.py).
-- A channel's state is a hash. Events acked+1 .. last are in the channel's list.
--   batch, sent, acked, last       positions; see poll.lua
--   reader                         while there is one: 16 characters that name a process, then a token of that process
--   wake_sent                      the reader that was sent a wakeup
--   streamed_to                    the last event given to a stream
--   last_poll                      the poll that came last
--   empty_batch                    the batch, when it is frozen without events
--   due                            the last event that must not be held back
--   medium_since, low_since        when the first event of that urgency came that is in no batch yet
--   resume                         the reader was silent for long, and has not acknowledged being told so
--   timeout, medium, low, rank     what a poll said last

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function wake(reader)
  redis.call('PUBLISH', WAKE .. string.sub(reader, 1, 16), string.sub(reader, 17))
end

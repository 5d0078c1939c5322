-- Shared by all scripts; the names of keys come before it (scripts.py).
-- A channel's state is a hash: batch, sent, acked, last, and while there is one its reader (16 characters
-- that name a process, then a token of that process), woken (the reader that was sent a wakeup) and
-- handed (the last event given to a stream). Events acked+1 .. last are in the channel's list.
-- Of use to patient readers: urgent (the last event that must not be held back), soon and later (when the first
-- event of medium and of low urgency came that is in no batch yet), newest (the poll that came last), hollow (the
-- batch, when it is frozen without events), resume, and what such a reader said: timeout, medium, low, rank.

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function wake(reader)
  redis.call('PUBLISH', WAKE .. string.sub(reader, 1, 16), string.sub(reader, 17))
end

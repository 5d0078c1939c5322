-- Readers that are still there.  ARGV: queue id and reader by turns.
-- Returns those that missed something (a wakeup, a reader that took their place, the loss of the channel)
-- and should read again.
local time, stale = now(), {}
for i = 1, #ARGV, 2 do
  local s = redis.call('HMGET', STATE .. ARGV[i], 'reader', 'wake_sent')
  if s[1] == ARGV[i + 1] then
    redis.call('ZADD', SEEN, time, ARGV[i])
  end
  if s[1] ~= ARGV[i + 1] or s[2] then
    stale[#stale + 1] = string.sub(ARGV[i + 1], 17)
  end
end
return stale

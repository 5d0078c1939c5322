-- A reader went away.  ARGV: queue id, reader.
if redis.call('HGET', STATE .. ARGV[1], 'reader') == ARGV[2] then
  redis.call('HDEL', STATE .. ARGV[1], 'reader', 'wake_sent')
end
return 0

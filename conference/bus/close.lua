-- Forget channels and wake their readers, who find them gone.  ARGV: queue ids...
for _, id in ipairs(ARGV) do
  local reader = redis.call('HGET', STATE .. id, 'reader')
  redis.call('UNLINK', STATE .. id, EVENTS .. id)
  redis.call('ZREM', SEEN, id)
  if reader then
    wake(reader)
  end
end
return 0

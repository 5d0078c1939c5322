-- Take or renew a lease.  ARGV: key, holder, milliseconds.  Returns 1 when the caller holds it now.
local holder = redis.call('GET', ARGV[1])
if holder and holder ~= ARGV[2] then
  return 0
end
redis.call('SET', ARGV[1], ARGV[2], 'PX', ARGV[3])
return 1

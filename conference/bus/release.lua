-- Give a lease back, if it is the caller's.  ARGV: key, holder.
if redis.call('GET', ARGV[1]) == ARGV[2] then
  redis.call('DEL', ARGV[1])
end
return 0

-- Channels that nobody has read for some milliseconds.  ARGV: milliseconds.
return redis.call('ZRANGEBYSCORE', SEEN, '-inf', now() - ARGV[1])

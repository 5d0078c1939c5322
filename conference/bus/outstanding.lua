-- Count what a holder has under way with what others have.
-- ARGV: key, holder, how many (0: it is done), most, milliseconds for which it counts unless it is renewed.
-- Returns 1, or 0 when there would be more than `most`, and then nothing changes.
local key, holder, many, lasts = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5])
if many == 0 then
  redis.call('HDEL', key, holder)
  return 1
end
local time, sum = now(), many
local held = redis.call('HGETALL', key)
for i = 1, #held, 2 do
  local count, ends = string.match(held[i + 1], '(%d+) (%d+)')
  if tonumber(ends) <= time then
    redis.call('HDEL', key, held[i])
  elseif held[i] ~= holder then
    sum = sum + tonumber(count)
  end
end
if sum > tonumber(ARGV[4]) then
  return 0
end
redis.call('HSET', key, holder, string.format('%d %.0f', many, time + lasts))
redis.call('PEXPIRE', key, lasts)
return 1

#!lua
-- Store what the site last said of stories. A full store refuses it: what it holds can be done without.
--
-- KEYS  1 hash: story ID → description   2 sorted set: story IDs, by when the site asked (s)            (one slot)
-- ARGV  1 now (s)   2 seconds for which an unchanged story is not written again   3 seconds for which a story is kept
--       4 most stories kept   5… story ID, when the site asked (s), description, and so on
local has_written, kept = false, tonumber(ARGV[3])
for i = 5, #ARGV, 3 do
  local story, at, description = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local last = redis.call('ZSCORE', KEYS[2], story)
  local recent = last and at >= tonumber(last) and at - tonumber(last) < tonumber(ARGV[2])
  if not (recent and redis.call('HGET', KEYS[1], story) == description) then
    redis.call('HSET', KEYS[1], story, description)
    redis.call('ZADD', KEYS[2], ARGV[i + 1], story)
    has_written = true
  end
end
if has_written then
  local excess = math.max(0, redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4]))
  local old = redis.call('ZCOUNT', KEYS[2], '-inf', string.format('%.3f', tonumber(ARGV[1]) - kept))
  -- A bounded number at a time: no script runs long enough to delay a check.
  local gone = redis.call('ZPOPMIN', KEYS[2], math.min(1000, math.max(excess, old)))
  for i = 1, #gone, 2 do redis.call('HDEL', KEYS[1], gone[i]) end
  redis.call('EXPIRE', KEYS[1], kept)
  redis.call('EXPIRE', KEYS[2], kept)
end

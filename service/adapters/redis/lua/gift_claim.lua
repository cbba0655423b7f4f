-- Claims one of the month's gifts of a reader for a pass; claiming again for the same pass is no second gift.
--
-- KEYS  1 given (sorted set: pass id, by when it was given)
-- ARGV  1 pass id   2 now (ms)   3 the month's first moment (ms)   4 how many a month   5 forget before (ms)   6 expire at (s)
-- gives 1 claimed | 0 the month's are used
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[5])
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 1 end
if redis.call('ZCOUNT', KEYS[1], ARGV[3], '+inf') >= tonumber(ARGV[4]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('EXPIREAT', KEYS[1], ARGV[6])
return 1

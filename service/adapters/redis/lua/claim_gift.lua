#!lua flags=allow-oom
-- Claim one of a reader's gifts of this month for a pass; a second claim for the same pass is not a second gift.
--
-- KEYS  1 gifts (sorted set: pass id, by when it was claimed)
-- ARGV  1 pass id   2 now (ms)   3 first moment of the month (ms)   4 gifts a month   5 forget before (ms)   6 expire at (s)
-- Returns 1 claimed | 0 all gifts of the month are used
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[5])
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 1 end
if redis.call('ZCOUNT', KEYS[1], ARGV[3], '+inf') >= tonumber(ARGV[4]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('EXPIREAT', KEYS[1], ARGV[6])
return 1

#!lua flags=allow-oom
-- Announce that readers are about to be written, so that the index notices a write whose process dies right after it.
--
-- KEYS  1 announced (zset)
-- ARGV  1… readers
-- Returns the moment of the announcement by the store's clock (µs)
local time = redis.call('TIME')
local moment = time[1] * 1000000 + time[2]
for at = 1, #ARGV do redis.call('ZADD', KEYS[1], moment, ARGV[at]) end
return moment

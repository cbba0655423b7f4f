#!lua flags=allow-oom
-- Delete the oldest records of the audit chain behind a new checkpoint, if the old one is still in force.
--
-- KEYS  1 log   2 head
-- ARGV  1 the checkpoint that was seen ('' = none)   2 the new one   3… seqs to delete
-- Returns 1 done | 0 another process has set a checkpoint meanwhile
if (redis.call('HGET', KEYS[2], 'checkpoint') or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], 'checkpoint', ARGV[2])
for at = 3, #ARGV do redis.call('HDEL', KEYS[1], ARGV[at]) end
return 1

-- Lets the oldest records of the audit chain go behind a new checkpoint, if the old one still stands.
--
-- KEYS  1 log   2 head
-- ARGV  1 the checkpoint that was seen ('' = none)   2 the new one   3… the seqs that go
-- gives 1 done | 0 somebody else set a checkpoint meanwhile
if (redis.call('HGET', KEYS[2], 'checkpoint') or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], 'checkpoint', ARGV[2])
for at = 3, #ARGV do redis.call('HDEL', KEYS[1], ARGV[at]) end
return 1

#!lua flags=allow-oom
-- Record that a reader owns a Stripe object of a customer; with '' as the customer, that they own it no longer. A lower
-- number never replaces a higher.
--
-- KEYS  1 customers (hash: object → number and customer)
-- ARGV  1 object   2 number   3 customer
local stands = redis.call('HGET', KEYS[1], ARGV[1])
if stands and tonumber(string.match(stands, '^%d+')) >= tonumber(ARGV[2]) then return end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])

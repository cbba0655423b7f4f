-- Notes that a customer of Stripe's is this reader's, by an object of it; or, with '' as the customer, that it is no more.
--
-- KEYS  1 customers (hash: object → number and customer)
-- ARGV  1 object   2 number   3 customer
-- gives 1, or 0 = a higher number stands
local stands = redis.call('HGET', KEYS[1], ARGV[1])
if stands and tonumber(string.match(stands, '^%d+')) >= tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
return 1

#!lua flags=allow-oom
-- Record an event before it is processed, and take the object's next number for it: the number of the read to come.
--
-- KEYS  1 event   2 ledger   3 inbox   4 dead events   5 object   6 pending events           (one slot)
-- ARGV  1 id   2 now (ms)   3 seconds to keep   4 when any process may work on it (ms)   5 lease until (ms; 0 = no lease)
--       6 mode: 'deliver' | 'list' (found in Stripe's list: no duplicate) | 'replay'   7 forget the ledger before (ms)
--       8 why it is ignored ('' = it is not)   9… fields and values of a new event
-- Returns {state before ('' = new), number, 1 = the caller has the lease}; {'unknown', 0, 0} for a replay of an unknown event
local id, now, mode = ARGV[1], ARGV[2], ARGV[6]
local state = redis.call('HGET', KEYS[1], 'state') or ''
-- An event that was ignored once, such as one of the other mode, can be processed now. A replay cannot, because its content
-- was not stored.
local known = state ~= '' and (state ~= 'ignored' or ARGV[8] ~= '' or mode == 'replay')
if known then
  if mode == 'deliver' then redis.call('HINCRBY', KEYS[1], 'duplicates', 1) end
  local again = state == 'pending' or (mode ~= 'list' and state == 'dead') or (mode == 'replay' and state ~= 'ignored')
  if not again then return {state, 0, 0} end
  if state ~= 'pending' then redis.call('HSET', KEYS[1], 'state', 'pending', 'why', '', 'attempts', 0) end
  redis.call('ZREM', KEYS[4], id)
elseif mode == 'replay' then
  return {'unknown', 0, 0}
else
  redis.call('HSET', KEYS[1], 'state', ARGV[8] == '' and 'pending' or 'ignored', 'why', ARGV[8], 'received', now,
    'attempts', 0, 'duplicates', 0, unpack(ARGV, 9))
  redis.call('EXPIRE', KEYS[1], ARGV[3])
  redis.call('ZADD', KEYS[2], now, id)
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[7])
  if ARGV[8] ~= '' then return {'', 0, 0} end
end
local number = redis.call('HINCRBY', KEYS[5], 'n', 1)
redis.call('ZADD', KEYS[6], number, id)
redis.call('ZADD', KEYS[3], ARGV[4], id)
local leased, lease, new = 0, tonumber(redis.call('HGET', KEYS[5], 'lease') or '0'), tonumber(ARGV[5])
-- A lease that ends long after a new one would was taken before the clock went back, and counts as expired.
if new > 0 and (lease <= tonumber(now) or lease > 2 * new - now) then
  redis.call('HSET', KEYS[5], 'lease', ARGV[5], 'holder', number)
  leased = 1
end
return {state, number, leased}

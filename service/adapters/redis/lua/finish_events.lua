#!lua flags=allow-oom
-- Record the result of events about one object, and release the lease unless there is more to do.
--
-- KEYS  1 object   2 pending events   3 inbox   4 dead events   5… events                    (one slot)
-- ARGV  1 the number that was read   2 the number under which the lease is held (0 = none)   3 '1' = the read failed
--       4 now (ms)   5 most attempts of an event that waits for a read (0 = no limit)   6 reason when it is given up
--       7… for each event: id, state ('pending' = it waits for a read), reason
-- Returns 1 = more events have arrived meanwhile (the caller keeps the lease), else 0
--
-- An event that was given up still waits for the object to be read, by any process: that finishes it.
local n, holder = tonumber(ARGV[1]), ARGV[2]
local most = tonumber(ARGV[5])
for at = 5, #KEYS do
  local i = 7 + (at - 5) * 3
  local id, state, why = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local before = redis.call('HGET', KEYS[at], 'state')
  if before == 'pending' or (before == 'dead' and state ~= 'pending') then
    local tried = redis.call('HINCRBY', KEYS[at], 'attempts', 1)
    local stands = state
    if state == 'pending' and most > 0 and tried >= most then
      stands, why = 'dead', ARGV[6]
      redis.call('ZADD', KEYS[4], ARGV[4], id)
    end
    redis.call('HSET', KEYS[at], 'state', stands, 'why', why)
    if state ~= 'pending' then
      redis.call('HDEL', KEYS[at], 'says')
      redis.call('ZREM', KEYS[4], id)
    end
  end
  redis.call('ZREM', KEYS[3], id)
  if state ~= 'pending' or redis.call('EXISTS', KEYS[at]) == 0 then redis.call('ZREM', KEYS[2], id) end
end
local h = redis.call('HMGET', KEYS[1], 'holder', 'want')
local more = redis.call('ZCOUNT', KEYS[2], '(' .. n, '+inf') > 0
if ARGV[3] ~= '1' and tonumber(h[2] or '0') > n then more = true end
if h[1] ~= holder then return 0 end
if more then return 1 end
redis.call('HDEL', KEYS[1], 'lease', 'holder')
return 0

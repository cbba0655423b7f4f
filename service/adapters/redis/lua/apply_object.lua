#!lua flags=allow-oom
-- Apply what was read from Stripe (only with a higher number), or a payload while Stripe cannot be read.
--
-- KEYS  1 object   2 refresh queue   3 fan-out queue   4 recheck queue                       (one slot)
-- ARGV  1 number   2 doc ('' = only update the queues)   3 '1' read | '0' payload   4 '1' = final, never replaced
--       5 now (ms)   6 name   7 rev that the caller saw ('' = any)   8 mark ('' = unchanged)   9 when to check again (ms)
-- Returns {verdict, rev}
--       'applied' | 'same' | 'stale' (a higher number is in force) | 'kept' (a final state is in force) | 'marked' | 'retry'
--
-- Two rules are easy to miss. An older read that succeeds does not clear the request (`want`) that a newer, failed one has
-- left. A payload never raises `applied`, and replaces only the very record that it was compared with (`rev`).
local h = redis.call('HMGET', KEYS[1], 'applied', 'want', 'rev', 'final', 'confirmed', 'doc')
local applied, want, rev = tonumber(h[1] or '0'), tonumber(h[2] or '0'), tonumber(h[3] or '0')
local n, read, now, name = tonumber(ARGV[1]), ARGV[3] == '1', ARGV[5], ARGV[6]
if ARGV[7] ~= '' and rev ~= tonumber(ARGV[7]) then return {'retry', rev} end

local verdict = 'marked'
local take = ARGV[2] ~= ''
if read and not (n > applied and (n >= want or h[5] ~= '0')) then take, verdict = false, 'stale' end
local yields = h[4] == '1' and ARGV[4] == '0'
if take and yields then take, verdict = false, 'kept' end
if take then
  if ARGV[8] ~= '' then redis.call('HSET', KEYS[1], 'mark', ARGV[8]) end
  redis.call('HSET', KEYS[1], 'at', now)
  verdict = 'same'
  if h[6] ~= ARGV[2] or h[5] ~= ARGV[3] then
    rev = redis.call('HINCRBY', KEYS[1], 'n', 1)
    redis.call('HSET', KEYS[1], 'doc', ARGV[2], 'confirmed', ARGV[3], 'final', ARGV[4], 'rev', rev, 'facts', rev)
    redis.call('ZADD', KEYS[3], 'NX', now, name)
    verdict = 'applied'
  end
  if ARGV[9] ~= '' then redis.call('ZADD', KEYS[4], ARGV[9], name) end
end
if read then
  if n > applied and verdict ~= 'kept' then redis.call('HSET', KEYS[1], 'applied', n) end
  if n >= want and verdict ~= 'kept' then
    redis.call('ZREM', KEYS[2], name)
    redis.call('HDEL', KEYS[1], 'behind')
  end
  if verdict == 'kept' then redis.call('ZADD', KEYS[2], 'NX', now, name) end
else
  if n > want then redis.call('HSET', KEYS[1], 'want', n) end
  redis.call('ZADD', KEYS[2], 'NX', now, name)
end
return {verdict, rev}

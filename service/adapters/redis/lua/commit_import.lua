#!lua flags=allow-oom
-- Commit an import or its undo by one key, with the audit entry. A repeat changes nothing.
--
-- KEYS  1 import   2 rows   3 outbox                                                         (one slot)
-- ARGV  1 'applying' | 'undoing'   2 id of the audit entry   3 the audit entry   4 seconds to keep an import
local h = redis.call('HMGET', KEYS[1], 'state', 'cursor', 'chunks')
local state = h[1]
if not state then return end
if ARGV[1] == 'applying' then
  if state ~= 'staged' then return end
  -- The entry comes first: if it cannot be written, nothing is changed.
  redis.call('RPUSH', KEYS[3], ARGV[3])
  redis.call('HSET', KEYS[1], 'state', 'applying')
else
  if state == 'undoing' or state == 'undone' then return end
  -- The chunk at the cursor can be done in part.
  local begun = 0
  if state ~= 'staged' then begun = math.min(tonumber(h[2] or '0') + 1, tonumber(h[3])) end
  redis.call('RPUSH', KEYS[3], ARGV[3])
  redis.call('HSET', KEYS[1], 'state', begun > 0 and 'undoing' or 'undone', 'cursor', 0, 'chunks', begun, 'undo', ARGV[2])
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[4])

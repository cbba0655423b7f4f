#!lua flags=allow-oom
-- Let visitors that had joined a merged reader count for the remaining one, once, with the audit entry.
--
-- KEYS  1 reader   2 outbox                                                                  (one slot)
-- ARGV  1 marks of the merged readers (8 bytes each)   2 audit entry
local had, new = redis.call('HGET', KEYS[1], '<') or '', ''
for at = 1, #ARGV[1], 8 do
  local mark, known = string.sub(ARGV[1], at, at + 7), false
  for i = 1, #had, 8 do known = known or string.sub(had, i, i + 7) == mark end
  if not known then new = new .. mark end
end
if new == '' then return end
-- The entry comes first: if it cannot be written, nothing is changed.
redis.call('RPUSH', KEYS[2], ARGV[2])
redis.call('HSET', KEYS[1], '<', had .. new)

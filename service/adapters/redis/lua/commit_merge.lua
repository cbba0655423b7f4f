#!lua flags=allow-oom
-- Commit a merge of two readers: from here on any process rolls it forward.
--
-- KEYS  1 heirs (hash: tag → tag and id of the reader it is now; >tag → tag of the reader it was merged into, and when (ms))
--       2 members (hash: tag → tags merged into it)
--       3 todo (hash: tag → what is still to be done)                                        (one slot)
-- ARGV  1 tag of the reader that goes   2 tag and 3 id of the reader that stays   4 what is to be done   5 now (ms)
-- Returns {'done' | 'again' (merged before) | 'circle' | 'elsewhere' (merged into another), id of the reader that stays}
local from, to, id = ARGV[1], ARGV[2], ARGV[3]
local heir = redis.call('HGET', KEYS[1], to)
if heir then to, id = string.sub(heir, 1, 22), string.sub(heir, 23) end
if to == from then return {'circle', id} end
local above = ARGV[2]
while above do
  if above == from then return {'circle', id} end
  local edge = redis.call('HGET', KEYS[1], '>' .. above)
  above = edge and string.sub(edge, 1, 22)
end
local stands = redis.call('HGET', KEYS[1], from)
if stands then return {string.sub(stands, 1, 22) == to and 'again' or 'elsewhere', id} end
local members = from .. (redis.call('HGET', KEYS[2], from) or '')
for at = 1, #members, 22 do redis.call('HSET', KEYS[1], string.sub(members, at, at + 21), to .. id) end
redis.call('HSET', KEYS[2], to, (redis.call('HGET', KEYS[2], to) or '') .. members)
redis.call('HDEL', KEYS[2], from)
redis.call('HSET', KEYS[1], '>' .. from, to .. ARGV[5])
redis.call('HSET', KEYS[3], from, ARGV[4])
return {'done', id}

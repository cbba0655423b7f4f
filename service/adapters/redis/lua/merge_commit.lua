-- Commits a merge: from here on it is rolled forward, by whoever comes.
--
-- KEYS  1 heirs (hash: tag → tag and id of the one it is answered as; >tag → tag of the one it was merged into, and when (ms))
--       2 members (hash: tag → tags merged into it)
--       3 todo (hash: tag → what has to be done)                                             (one slot)
-- ARGV  1 tag of the one that goes   2 tag of the one that stays   3 id of the one that stays   4 what has to be done   5 now (ms)
-- gives {'done' | 'again' (it was so already) | 'circle' | 'elsewhere' (it was merged into another)}, the stayer's tag and id
local from, to, id = ARGV[1], ARGV[2], ARGV[3]
local heir = redis.call('HGET', KEYS[1], to)
if heir then to, id = string.sub(heir, 1, 22), string.sub(heir, 23) end
if to == from then return {'circle', to, id} end
local above = ARGV[2]
while above do
  if above == from then return {'circle', to, id} end
  local edge = redis.call('HGET', KEYS[1], '>' .. above)
  above = edge and string.sub(edge, 1, 22)
end
local stands = redis.call('HGET', KEYS[1], from)
if stands then return {string.sub(stands, 1, 22) == to and 'again' or 'elsewhere', to, id} end
local members = from .. (redis.call('HGET', KEYS[2], from) or '')
for at = 1, #members, 22 do redis.call('HSET', KEYS[1], string.sub(members, at, at + 21), to .. id) end
redis.call('HSET', KEYS[2], to, (redis.call('HGET', KEYS[2], to) or '') .. members)
redis.call('HDEL', KEYS[2], from)
redis.call('HSET', KEYS[1], '>' .. from, to .. ARGV[5])
redis.call('HSET', KEYS[3], from, ARGV[4])
return {'done', to, id}

#!lua flags=allow-oom
-- Undo what an import did to the link of an object: it is as it would be without that import. A repeat changes nothing.
--
-- KEYS  1 object   2 fan-out queue                                                           (one slot)
-- ARGV  1 end of the lease (ms)   2 import   3 now (ms)   4 name
-- Returns 'taken_back' | 'left_alone' (the import did not link it, or it was linked or unlinked by hand since) | 'late'
local time = redis.call('TIME')
if time[1] * 1000 + math.floor(time[2] / 1000) >= tonumber(ARGV[1]) then return 'late' end
local imports = cjson.decode(redis.call('HGET', KEYS[1], 'imports') or '[]')
local at
for number, entry in ipairs(imports) do
  if entry[1] == ARGV[2] then at = number end
end
if not at then return 'left_alone' end
local before = imports[at][2]
if not before then return 'taken_back' end
imports[at] = {ARGV[2]}
-- The link before it is now the one before the next import that counts, or the link in force if there is none.
local later = at + 1
while imports[later] and not imports[later][2] do later = later + 1 end
if imports[later] then
  imports[later][2] = before
  redis.call('HSET', KEYS[1], 'imports', cjson.encode(imports))
  return 'taken_back'
end
local rev = redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('HSET', KEYS[1], 'link', before, 'imports', cjson.encode(imports), 'rev', rev, 'facts', rev)
redis.call('ZADD', KEYS[2], 'NX', ARGV[3], ARGV[4])
return 'taken_back'

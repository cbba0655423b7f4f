#!lua flags=allow-oom
-- Link an object to a reader by an import, above all metadata. A repeat changes nothing twice.
--
-- KEYS  1 object   2 fan-out queue                                                           (one slot)
-- ARGV  1 end of the lease (ms)   2 import   3 most imports kept   4 now (ms)   5 name   6 reader
-- Returns 'new' | 'changed' (a link was replaced) | 'unchanged' | 'late' (the lease has ended)
--
-- The field `imports` holds an entry for each import behind the link, oldest first: [import, the link before it]; an import
-- that was undone is [import]. So any of them can be undone, in any order. A link or unlink by hand removes the field.
local time = redis.call('TIME')
if time[1] * 1000 + math.floor(time[2] / 1000) >= tonumber(ARGV[1]) then return 'late' end
local h = redis.call('HMGET', KEYS[1], 'link', 'imports')
local link, imports = h[1] or '', h[2] and cjson.decode(h[2]) or {}
for _, entry in ipairs(imports) do
  if entry[1] == ARGV[2] then return entry[2] == '' and 'new' or entry[2] and 'changed' or 'unchanged' end
end
if link == ARGV[6] then return 'unchanged' end
table.insert(imports, {ARGV[2], link})
if #imports > tonumber(ARGV[3]) then table.remove(imports, 1) end
local rev = redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('HSET', KEYS[1], 'link', ARGV[6], 'imports', cjson.encode(imports), 'rev', rev, 'facts', rev)
redis.call('ZADD', KEYS[2], 'NX', ARGV[4], ARGV[5])
return link == '' and 'new' or 'changed'

-- Puts one grant of an import, or takes it back, if the grant still is what the plan says.
--
-- KEYS  1 reader   2 past   3 history   4 erased                                             (one slot)
-- ARGV  1 field   2 number (its successor is the only one taken)   3 record   4 place: 'reader' | 'past'
--       5 history entry   6 most history entries kept   7 the lease's end (ms)   8 when the import was staged (s)
-- gives {verdict, the record that stands ('' = none); of a merged reader the heir's id}
--       'applied' | 'conflict' (it is something else) | 'merged' | 'erased' (since it was staged) | 'late' (no lease any more)
local time = redis.call('TIME')
if time[1] * 1000 + math.floor(time[2] / 1000) >= tonumber(ARGV[7]) then return {'late', ''} end
local erased = redis.call('GET', KEYS[4])
if erased and tonumber(erased) >= tonumber(ARGV[8]) then return {'erased', ''} end
local alias = redis.call('HGET', KEYS[1], '>')
if alias then return {'merged', alias} end
local here = redis.call('HGET', KEYS[1], ARGV[1])
local before = here or redis.call('HGET', KEYS[2], ARGV[1]) or ''
local have = before ~= '' and tonumber(string.match(before, '^%[%d+,(%d+)')) or 0
if have ~= ARGV[2] - 1 then return {'conflict', before} end

local keep, leave = KEYS[1], KEYS[2]
if ARGV[4] == 'past' then keep, leave = KEYS[2], KEYS[1] end
redis.call('HSET', keep, ARGV[1], ARGV[3])
redis.call('HDEL', leave, ARGV[1])
redis.call('RPUSH', KEYS[3], ARGV[5])
redis.call('LTRIM', KEYS[3], -tonumber(ARGV[6]), -1)
return {'applied', ARGV[3]}

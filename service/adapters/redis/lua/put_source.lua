-- Puts one source of a reader, or refuses it; with it go the reader's history and the audit's outbox.
--
-- KEYS  1 reader   2 past   3 history   4 outbox            (one slot)
-- ARGV  1 field    2 number   3 rule: 'higher' | 'next'     4 place: 'reader' | 'past'   5 record
--       6 history entry ('' = none)   7 audit entry ('' = none)   8 most history entries kept
-- gives {verdict, the number that stands, the record before ('' = none)}
--       verdict: 'applied', 'same' (only the number moved), 'stale' (a higher number stands), 'conflict' (rule 'next'),
--       'merged' (this reader is another now, whose id stands in the record's place; only tombstones are still taken)
local function number(record) return tonumber(string.match(record, '^%[%d+,(%d+)')) end
local function facts(record) return string.match(record, '^%[%d+,%d+(.*)$') end

local field, n, place, record = ARGV[1], tonumber(ARGV[2]), ARGV[4], ARGV[5]
local alias = redis.call('HGET', KEYS[1], '>')
if alias and facts(record) ~= ']' then return {'merged', 0, alias} end
local here = redis.call('HGET', KEYS[1], field)
local before = here or redis.call('HGET', KEYS[2], field) or ''
local have = before ~= '' and number(before) or 0
if ARGV[3] == 'next' and have ~= n - 1 then return {'conflict', have, before} end
if ARGV[3] == 'higher' and have >= n then return {'stale', have, before} end

local keep, leave = KEYS[1], KEYS[2]
if place == 'past' then keep, leave = KEYS[2], KEYS[1] end
redis.call('HSET', keep, field, record)
redis.call('HDEL', leave, field)
if ARGV[7] ~= '' then redis.call('RPUSH', KEYS[4], ARGV[7]) end
if before ~= '' and facts(before) == facts(record) then return {'same', n, before} end
if ARGV[6] ~= '' then
  redis.call('RPUSH', KEYS[3], ARGV[6])
  redis.call('LTRIM', KEYS[3], -tonumber(ARGV[8]), -1)
end
return {'applied', n, before}

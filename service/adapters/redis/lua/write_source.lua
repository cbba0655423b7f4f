#!lua flags=allow-oom
-- Write one source of a reader, or refuse it; the history entry and the audit entry go with it.
--
-- KEYS  1 reader   2 past   3 history   4 outbox   5 held prices            (one slot)
-- ARGV  1 field    2 number   3 rule: 'higher' | 'next'     4 record to write to: 'reader' | 'past'   5 record
--       6 history entry   7 audit entry ('' = none)   8 most history entries kept   9 the reader's ID
--       10 and 11, 12 and 13, …: a price that the source's subscription has or had, and what is kept of it; the first stays
-- Returns {verdict, the number in force, the record before ('' = none)}
--       verdict: 'applied', 'same' (only the number changed), 'stale' (a higher number is stored), 'conflict' (rule 'next'),
--       'merged' (the reader was merged into another, whose id is returned as the record; only tombstones are accepted)
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

local to, from = KEYS[1], KEYS[2]
if place == 'past' then to, from = KEYS[2], KEYS[1] end
-- The entry comes first: if it cannot be written, nothing is changed.
if ARGV[7] ~= '' then redis.call('RPUSH', KEYS[4], ARGV[7]) end
for at = 10, #ARGV, 2 do redis.call('HSETNX', KEYS[5], ARGV[at], ARGV[at + 1]) end
redis.call('HSET', to, field, record)
if facts(record) ~= ']' then redis.call('HSETNX', to, '=', ARGV[9]) end
-- The ID alone keeps no record.
if redis.call('HDEL', from, field) == 1 and redis.call('HLEN', from) == 1 then redis.call('HDEL', from, '=') end
if before ~= '' and facts(before) == facts(record) then return {'same', n, before} end
redis.call('RPUSH', KEYS[3], ARGV[6])
redis.call('LTRIM', KEYS[3], -tonumber(ARGV[8]), -1)
return {'applied', n, before}

#!lua flags=allow-oom
-- Write sources of readers for an import. Several in one script cost one flush.
--
-- KEYS  three for each row: reader, past, history     (one slot; without a cluster any number of rows)
-- ARGV  1 schema   2 now (s)   3 … and its milliseconds   4 cause   5 most history entries kept   6 end of the lease (ms)
--       7 rule: 'next' (a number is accepted if it is the stored one's successor) | 'higher' (if it is higher)
--       8… five for each row: field, number, record, 'reader' | 'past', the reader's ID ('' = unknown: a former release has
--          staged the import, or the record is a tombstone)
-- Returns for each row {verdict, the record before ('' = none); for a merged reader the heir's id}
--       'applied' | 'conflict' (rule 'next': it has changed) | 'stale' (rule 'higher': a newer one is stored, or a tombstone
--       has nothing to replace)
--       'merged' (only tombstones are accepted) | 'late' (the lease has ended)
local time = redis.call('TIME')
local late = time[1] * 1000 + math.floor(time[2] / 1000) >= tonumber(ARGV[6])
local verdicts = {}

local function number(record) return tonumber(string.match(record, '^%[%d+,(%d+)')) end
local function is_tombstone(record) return string.match(record, '^%[%d+,%d+(.*)$') == ']' end

local function move(from, to, field, record, id)
  redis.call('HSET', to, field, record)
  local name = id ~= '' and id or (not is_tombstone(record) and redis.call('HGET', from, '='))
  if name then redis.call('HSETNX', to, '=', name) end
  -- The ID alone keeps no record.
  if redis.call('HDEL', from, field) == 1 and redis.call('HLEN', from) == 1 then redis.call('HDEL', from, '=') end
end

local function write_source(reader, past, history, field, n, record, place, id)
  if late then return {'late', ''} end
  local h = redis.call('HMGET', reader, '>', field)
  local alias, here = h[1], h[2]
  if alias and not is_tombstone(record) then return {'merged', alias} end
  local before = here or redis.call('HGET', past, field) or ''
  local have = before ~= '' and number(before) or 0
  if ARGV[7] == 'next' and have ~= n - 1 then return {'conflict', before} end
  if ARGV[7] == 'higher' and (have >= n or before == '' and is_tombstone(record)) then return {'stale', before} end

  if place == 'past' then
    move(reader, past, field, record, id)
  else
    move(past, reader, field, record, id)
  end
  -- The format of `readers.pack_change`.
  local text = is_tombstone(record) and 'null' or cjson.encode(record)
  local values = {ARGV[1], ARGV[2], cjson.encode(field), text, cjson.encode(ARGV[4]), ARGV[3]}
  local length = redis.call('RPUSH', history, '[' .. table.concat(values, ',') .. ']')
  if length > tonumber(ARGV[5]) then redis.call('LTRIM', history, -tonumber(ARGV[5]), -1) end
  return {'applied', before}
end

for row = 0, #KEYS / 3 - 1 do
  local k, a = row * 3, 7 + row * 5
  verdicts[row + 1] = write_source(KEYS[k + 1], KEYS[k + 2], KEYS[k + 3],
    ARGV[a + 1], tonumber(ARGV[a + 2]), ARGV[a + 3], ARGV[a + 4], ARGV[a + 5])
end
return verdicts

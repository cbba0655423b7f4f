-- Puts grants of an import, or takes them back: each if it still is what the plan says. Several at once cost one flush.
--
-- KEYS  four for each row: reader, past, history, erased                       (one slot; without a cluster, any number of rows)
-- ARGV  1 schema   2 now (s)   3 … and its milliseconds   4 cause   5 most history entries kept   6 the lease's end (ms)
--       7 when the import was staged (s)
--       8… four for each row: field, number (its successor is the only one taken), record, place: 'reader' | 'past'
-- gives for each row {verdict, the record that stands ('' = none); of a merged reader the heir's id}
--       'applied' | 'conflict' (it is something else) | 'merged' | 'erased' (since it was staged) | 'late' (no lease any more)
local time = redis.call('TIME')
local late = time[1] * 1000 + math.floor(time[2] / 1000) >= tonumber(ARGV[6])
local verdicts = {}

local function put(reader, past, history, erased, field, number, record, place)
  if late then return {'late', ''} end
  local gone = redis.call('GET', erased)
  if gone and tonumber(gone) >= tonumber(ARGV[7]) then return {'erased', ''} end
  local h = redis.call('HMGET', reader, '>', field)
  local alias, here = h[1], h[2]
  if alias then return {'merged', alias} end
  local before = here or redis.call('HGET', past, field) or ''
  local have = before ~= '' and tonumber(string.match(before, '^%[%d+,(%d+)')) or 0
  if have ~= number - 1 then return {'conflict', before} end

  if place == 'past' then
    redis.call('HSET', past, field, record)
    if here then redis.call('HDEL', reader, field) end
  else
    redis.call('HSET', reader, field, record)
    if before ~= '' and not here then redis.call('HDEL', past, field) end
  end
  -- As `readers.history_entry` writes it.
  local words = {ARGV[1], ARGV[2], cjson.encode(field), cjson.encode(record), cjson.encode(ARGV[4]), ARGV[3]}
  local length = redis.call('RPUSH', history, '[' .. table.concat(words, ',') .. ']')
  if length > tonumber(ARGV[5]) then redis.call('LTRIM', history, -tonumber(ARGV[5]), -1) end
  return {'applied', record}
end

for row = 0, #KEYS / 4 - 1 do
  local k, a = row * 4, 7 + row * 4
  verdicts[row + 1] = put(KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], KEYS[k + 4],
    ARGV[a + 1], tonumber(ARGV[a + 2]), ARGV[a + 3], ARGV[a + 4])
end
return verdicts

#!lua flags=allow-oom
-- Write or revoke grants of an import, each if it is still what the plan says. Several in one script cost one flush.
--
-- KEYS  three for each row: reader, past, history     (one slot; without a cluster any number of rows)
-- ARGV  1 schema   2 now (s)   3 … and its milliseconds   4 cause   5 most history entries kept   6 end of the lease (ms)
--       7… five for each row: field, number (accepted if it is the stored one's successor), record, 'reader' | 'past',
--          the reader's ID ('' = unknown: a former release has staged the import)
-- Returns for each row {verdict, the record in force ('' = none); for a merged reader the heir's id}
--       'applied' | 'conflict' (the grant has changed) | 'merged' | 'late' (the lease has ended)
local time = redis.call('TIME')
local late = time[1] * 1000 + math.floor(time[2] / 1000) >= tonumber(ARGV[6])
local verdicts = {}

local function move(from, to, field, record, id)
  redis.call('HSET', to, field, record)
  local name = id ~= '' and id or redis.call('HGET', from, '=')
  if name then redis.call('HSETNX', to, '=', name) end
  -- The ID alone keeps no record.
  if redis.call('HDEL', from, field) == 1 and redis.call('HLEN', from) == 1 then redis.call('HDEL', from, '=') end
end

local function write_grant(reader, past, history, field, number, record, place, id)
  if late then return {'late', ''} end
  local h = redis.call('HMGET', reader, '>', field)
  local alias, here = h[1], h[2]
  if alias then return {'merged', alias} end
  local before = here or redis.call('HGET', past, field) or ''
  local have = before ~= '' and tonumber(string.match(before, '^%[%d+,(%d+)')) or 0
  if have ~= number - 1 then return {'conflict', before} end

  if place == 'past' then
    move(reader, past, field, record, id)
  else
    move(past, reader, field, record, id)
  end
  -- The format of `readers.pack_change`.
  local values = {ARGV[1], ARGV[2], cjson.encode(field), cjson.encode(record), cjson.encode(ARGV[4]), ARGV[3]}
  local length = redis.call('RPUSH', history, '[' .. table.concat(values, ',') .. ']')
  if length > tonumber(ARGV[5]) then redis.call('LTRIM', history, -tonumber(ARGV[5]), -1) end
  return {'applied', record}
end

for row = 0, #KEYS / 3 - 1 do
  local k, a = row * 3, 6 + row * 5
  verdicts[row + 1] = write_grant(KEYS[k + 1], KEYS[k + 2], KEYS[k + 3],
    ARGV[a + 1], tonumber(ARGV[a + 2]), ARGV[a + 3], ARGV[a + 4], ARGV[a + 5])
end
return verdicts

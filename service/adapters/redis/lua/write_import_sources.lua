#!lua flags=allow-oom
-- Write sources of readers for an import. Several in one script cost one flush.
--
-- KEYS  three for each row: reader, past, history     (one slot; without a cluster any number of rows)
-- ARGV  1 most history entries kept   2 end of the lease (ms)
--       3 rule: 'next' (a number is accepted if it is the stored one's successor) | 'higher' (if it is higher)
--       4… six for each row: field, number, record, 'reader' | 'past', history entry, the reader's ID ('' = unknown: a former
--          release has staged the import, or the record is a tombstone)
-- Returns for each row 'applied' | 'conflict' (rule 'next': it has changed) | 'stale' (rule 'higher': a newer one is stored, or
--       a tombstone has nothing to replace) | 'merged' (only tombstones are accepted) | 'late' (the lease has ended)
local time = redis.call('TIME')
local late = time[1] * 1000 + math.floor(time[2] / 1000) >= tonumber(ARGV[2])
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

local function write_source(reader, past, history, field, n, record, place, entry, id)
  if late then return 'late' end
  local h = redis.call('HMGET', reader, '>', field)
  if h[1] and not is_tombstone(record) then return 'merged' end
  local before = h[2] or redis.call('HGET', past, field) or ''
  local have = before ~= '' and number(before) or 0
  if ARGV[3] == 'next' and have ~= n - 1 then return 'conflict' end
  if ARGV[3] == 'higher' and (have >= n or before == '' and is_tombstone(record)) then return 'stale' end

  if place == 'past' then
    move(reader, past, field, record, id)
  else
    move(past, reader, field, record, id)
  end
  local length = redis.call('RPUSH', history, entry)
  if length > tonumber(ARGV[1]) then redis.call('LTRIM', history, -tonumber(ARGV[1]), -1) end
  return 'applied'
end

for row = 0, #KEYS / 3 - 1 do
  local k, a = row * 3, 3 + row * 6
  verdicts[row + 1] = write_source(KEYS[k + 1], KEYS[k + 2], KEYS[k + 3],
    ARGV[a + 1], tonumber(ARGV[a + 2]), ARGV[a + 3], ARGV[a + 4], ARGV[a + 5], ARGV[a + 6])
end
return verdicts

-- Adds what a process has counted; the same part told twice counts once.
--
-- KEYS  1 mark of the process (its last part)   2 upsold (sorted set: reader's hash, by when first shown, s)
--       3 the hash that counts readers shown the box, and subscriptions after it   4… hashes to add to      (one slot)
-- ARGV  1 number of the part   2 seconds to keep the mark   3 now (s)   4 seconds for which an upsell counts as a cause
--       5 most readers remembered   6 JSON: {"add": [[expire at, {field: n}], … for KEYS[4…]], "keep": expire KEYS[3] at,
--         "shown": [[hash, when], …], "begun": [[hash, when it began], …]}
-- gives 1 added | 0 it was told before
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
local now, window = tonumber(ARGV[3]), tonumber(ARGV[4])
local told = cjson.decode(ARGV[6])
for i, part in ipairs(told.add) do
  for field, n in pairs(part[2]) do redis.call('HINCRBY', KEYS[3 + i], field, string.format('%d', n)) end
  redis.call('EXPIREAT', KEYS[3 + i], string.format('%d', part[1]))
end

redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. string.format('%d', now - window))
local fresh, won = 0, 0
for _, shown in ipairs(told.shown) do
  fresh = fresh + redis.call('ZADD', KEYS[2], 'NX', string.format('%d', shown[2]), shown[1])
end
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - tonumber(ARGV[5]))
for _, begun in ipairs(told.begun) do
  local at = tonumber(redis.call('ZSCORE', KEYS[2], begun[1]) or 'inf')
  if at <= begun[2] then
    redis.call('ZREM', KEYS[2], begun[1])
    won = won + 1
  end
end
if fresh > 0 then redis.call('HINCRBY', KEYS[3], 'shown_readers', fresh) end
if won > 0 then redis.call('HINCRBY', KEYS[3], 'begun', won) end
if fresh > 0 or won > 0 then redis.call('EXPIREAT', KEYS[3], string.format('%d', told.keep)) end
return 1

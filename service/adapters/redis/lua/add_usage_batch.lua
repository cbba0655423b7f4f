#!lua flags=allow-oom
-- Add the counters of one process; a batch that is sent twice counts once.
--
-- KEYS  1 number of the process's last batch   2 upsold (sorted set: reader's hash, by when the box was first shown, s)
--       3 hash that counts readers who saw the box, and subscriptions after it   4… hashes to add to      (one slot)
-- ARGV  1 number of the batch   2 seconds to keep KEYS[1]   3 now (s)   4 seconds for which a box counts as a cause
--       5 most readers remembered   6 JSON: {"add": [[expire at, {field: n}], … for KEYS[4…]], "keep": expire KEYS[3] at,
--         "shown": [[hash, when], …], "begun": [[hash, when it began], …]}
-- Returns 1 added | 0 this batch was added before
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
local now, window = tonumber(ARGV[3]), tonumber(ARGV[4])
local batch = cjson.decode(ARGV[6])
for i, part in ipairs(batch.add) do
  for field, n in pairs(part[2]) do redis.call('HINCRBY', KEYS[3 + i], field, string.format('%d', n)) end
  redis.call('EXPIREAT', KEYS[3 + i], string.format('%d', part[1]))
end

redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. string.format('%d', now - window))
local shown_now, begun_now = 0, 0
for _, shown in ipairs(batch.shown) do
  shown_now = shown_now + redis.call('ZADD', KEYS[2], 'NX', string.format('%d', shown[2]), shown[1])
end
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - tonumber(ARGV[5]))
for _, begun in ipairs(batch.begun) do
  local at = tonumber(redis.call('ZSCORE', KEYS[2], begun[1]) or 'inf')
  if at <= begun[2] then
    redis.call('ZREM', KEYS[2], begun[1])
    begun_now = begun_now + 1
  end
end
if shown_now > 0 then redis.call('HINCRBY', KEYS[3], 'shown_readers', shown_now) end
if begun_now > 0 then redis.call('HINCRBY', KEYS[3], 'begun', begun_now) end
if shown_now > 0 or begun_now > 0 then redis.call('EXPIREAT', KEYS[3], string.format('%d', batch.keep)) end
return 1

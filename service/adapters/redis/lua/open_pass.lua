#!lua flags=allow-oom
-- Admit a reader or visitor by a story pass, and use an opening if neither was admitted before.
--
-- KEYS  1 pass
-- ARGV  1 the reader's field ('' = none)   2 the visitor's field ('' = none)   3 now (s)
-- Returns 1 admitted, an opening was used | 2 admitted before | 0 refused: used up, expired, revoked or unknown
--
-- A visitor's field holds the reader that it joined: a visitor who signs in after the first opening uses no second one. A
-- second reader in that browser is admitted as the browser, and is not stored.
local reader, visitor = ARGV[1], ARGV[2]
local h = redis.call('HMGET', KEYS[1], 'openings', 'until', 'used', 'revoked')
if not h[1] or h[4] or tonumber(ARGV[3]) >= tonumber(h[2]) then return 0 end
if reader ~= '' and redis.call('HEXISTS', KEYS[1], reader) == 1 then return 2 end
if visitor ~= '' then
  local joined = redis.call('HGET', KEYS[1], visitor)
  if joined then
    if reader ~= '' and joined == '' then redis.call('HSET', KEYS[1], visitor, reader, reader, '') end
    return 2
  end
end
if tonumber(h[3]) >= tonumber(h[1]) then return 0 end
redis.call('HINCRBY', KEYS[1], 'used', 1)
if reader ~= '' then redis.call('HSET', KEYS[1], reader, '') end
if visitor ~= '' then redis.call('HSET', KEYS[1], visitor, reader) end
return 1

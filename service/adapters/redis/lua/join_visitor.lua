-- Claim a visitor's meter for a reader: from now on its stories join this reader's, and no other's.
--
-- KEYS  1 the visitor's meter
-- ARGV  1 kind   2 window's start, or for a rolling window the moment now   3 the reader's mark (8 bytes)
--       4 expire at   5 length of a rolling window, else 0
-- Returns {1 = the meter is this reader's | 0 = it is another's, the meter as it is now}
--
-- In a rolling window the claim lasts one window's length from when it was last made: by then every joined story has expired.
local kind, start, mine = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local length = tonumber(ARGV[5])
local value = redis.call('GET', KEYS[1])
local body, stamp = '', start
if value and string.sub(value, 1, 1) == kind then
  stamp = struct.unpack('>I4', value, 2)
  local joined = string.byte(value, 6) == 1
  local valid = length > 0 or stamp >= start
  if joined and valid and (length == 0 or stamp + length > start) then
    local same = string.sub(value, 7, 14) == mine
    if length == 0 or not same then return {same and 1 or 0, value} end
  end
  if valid then body = string.sub(value, joined and 15 or 7) else stamp = start end
  if length > 0 then stamp = start end
end
local after = kind .. struct.pack('>I4', stamp) .. '\1' .. mine .. body
redis.call('SET', KEYS[1], after, 'EXAT', ARGV[4])
return {1, after}

-- Count a story against a meter while the limit allows it, and join other stories to the meter.
--
-- KEYS  1 meter   2 of a reader who is thought to hold nothing: their record
--       3 the meter of a visitor who is thought to have nothing to join; a new one is claimed for the reader (join_visitor.lua)
-- ARGV  1 kind (one byte)   2 window's start, or for a rolling window the moment now   3 limit (-1 = count nothing)
--       4 the story's mark (8 bytes)   5 entries to join (packed as stored)   6 expire at   7 length of a rolling window, else 0
--       8 with a visitor: the reader's mark
-- Returns {verdict, the meter as it is now}     verdict: 1 counted, 0 counted before, 2 used up, 3 only joined
--      or {4, the meter, the record, the visitor's meter} if either was thought wrongly: then nothing is changed
--
-- A meter is: kind (1 byte), window's start or the moment of joining (4 bytes), whether it joined a reader (1 byte); then, if
-- it did, the reader's mark (8 bytes); then the entries: mark (8 bytes), and in a rolling window the moment (4 bytes).
local kind, start, limit, story = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local length = tonumber(ARGV[7])
local size = length > 0 and 12 or 8
local value = redis.call('GET', KEYS[1])
if KEYS[2] then
  local theirs = KEYS[3] and redis.call('GET', KEYS[3])
  local has_nothing = not theirs
  if theirs and #theirs == 14 and string.sub(theirs, 1, 1) == kind and string.byte(theirs, 6) == 1 then
    local stamp = struct.unpack('>I4', theirs, 2)
    has_nothing = length > 0 and stamp + length > start or length == 0 and stamp >= start
  end
  if not has_nothing or redis.call('EXISTS', KEYS[2]) == 1 then
    return {4, value, redis.call('HGETALL', KEYS[2]), theirs}
  end
  if KEYS[3] and not theirs then
    redis.call('SET', KEYS[3], kind .. struct.pack('>I4', start) .. '\1' .. ARGV[8], 'EXAT', ARGV[6])
  end
end
local head, body = kind .. struct.pack('>I4', length > 0 and 0 or start) .. '\0', ''
if value and string.sub(value, 1, 1) == kind then
  local stamp = struct.unpack('>I4', value, 2)
  if length > 0 or stamp >= start then
    local first = string.byte(value, 6) == 1 and 15 or 7
    head, body = string.sub(value, 1, first - 1), string.sub(value, first)
  end
end

local marks, kept, count = {}, {}, 0
local function add(entries)
  for at = 1, #entries, size do
    local entry = string.sub(entries, at, at + size - 1)
    local mark = string.sub(entry, 1, 8)
    local live = length == 0 or struct.unpack('>I4', entry, 9) + length > start
    local place = marks[mark]
    if live and not place then
      count = count + 1
      marks[mark] = count
      kept[count] = entry
    elseif live and length > 0 and struct.unpack('>I4', entry, 9) > struct.unpack('>I4', kept[place], 9) then
      -- The visitor and the reader have both read it: the later read counts.
      kept[place] = entry
    end
  end
end
add(body)
add(ARGV[5])

local verdict = 3
if limit >= 0 then
  if marks[story] then verdict = 0
  elseif count < limit then
    verdict = 1
    kept[count + 1] = length > 0 and story .. struct.pack('>I4', start) or story
  else verdict = 2 end
end
local after = head .. table.concat(kept)
if after ~= value and (#kept > 0 or value) then redis.call('SET', KEYS[1], after, 'EXAT', ARGV[6]) end
return {verdict, after}

#!lua flags=allow-oom
-- Delete a reader's old changes, except the last old one of each source: it states how the source has been ever since.
--
-- KEYS  1 history
-- ARGV  1 changes before this moment are old (s)
-- Returns how many were deleted
local cutoff = tonumber(ARGV[1])
local function at(entry) return tonumber(string.match(entry, '^%[%d+,(%d+)')) end
local oldest = redis.call('LINDEX', KEYS[1], 0)
if not oldest or at(oldest) >= cutoff then return 0 end
local entries, last, count = redis.call('LRANGE', KEYS[1], 0, -1), {}, 0
for place, entry in ipairs(entries) do
  if at(entry) >= cutoff then break end
  count = place
  last[cjson.decode(entry)[3]] = place
end
local kept = {}
for place = 1, count do
  local change = cjson.decode(entries[place])
  if last[change[3]] == place and change[4] ~= cjson.null then kept[#kept + 1] = entries[place] end
end
if #kept == count then return 0 end
redis.call('LTRIM', KEYS[1], count, -1)
for place = #kept, 1, -1 do redis.call('LPUSH', KEYS[1], kept[place]) end
return count - #kept

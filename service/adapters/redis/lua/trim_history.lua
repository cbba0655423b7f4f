#!lua flags=allow-oom
-- Delete a reader's old changes, except the last old one of each source: it states how the source has been ever since.
--
-- A price that a deleted change held is kept in its own record, also from before the service wrote that with each source.
--
-- KEYS  1 history   2 held prices            (one slot)
-- ARGV  1 changes before this moment are old (s)   2… statuses of a subscription that has started
-- Returns how many were deleted
local cutoff, started = tonumber(ARGV[1]), {}
for at = 2, #ARGV do started[ARGV[at]] = true end
local function at(entry) return tonumber(string.match(entry, '^%[%d+,(%d+)')) end
local function keep_prices(change)
  if string.sub(change[3], 1, 2) ~= 's:' or change[4] == cjson.null then return end
  local _, _, status, _, items, created, trial_end = unpack(cjson.decode(change[4]))
  if not started[status] and (not trial_end or trial_end == cjson.null) then return end
  for _, item in ipairs(items or {}) do
    local price = cjson.encode({item[1], item[2], item[3]})
    redis.call('HSETNX', KEYS[2], price, cjson.encode({1, string.sub(change[3], 3), created or 0}))
  end
end
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
  if last[change[3]] == place and change[4] ~= cjson.null then kept[#kept + 1] = entries[place] else keep_prices(change) end
end
if #kept == count then return 0 end
redis.call('LTRIM', KEYS[1], count, -1)
for place = #kept, 1, -1 do redis.call('LPUSH', KEYS[1], kept[place]) end
return count - #kept

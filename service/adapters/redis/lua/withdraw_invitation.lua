#!lua flags=allow-oom
-- Withdraw an invitation that is open; until it would have expired a repeat finds it as withdrawn.
--
-- KEYS  1 invitations
-- ARGV  1 invitation   2 now (ms)
-- Returns until (ms), without a sign | nil there is no such invitation, it was used, or it has expired
local until_ms = math.abs(tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0'))
if until_ms <= tonumber(ARGV[2]) then return false end
redis.call('ZADD', KEYS[1], -until_ms, ARGV[1])
return until_ms

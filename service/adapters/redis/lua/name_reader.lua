#!lua flags=allow-oom
-- Store a reader's ID in their record, where an earlier release did not; an erased record stays erased.
--
-- KEYS  1 reader or past
-- ARGV  1 the reader's ID
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSETNX', KEYS[1], '=', ARGV[1]) end

#!lua flags=allow-oom
-- Run a command that the store refused because its memory is full (OOM): what must be written is written all the same.
--
-- KEYS  1 the command's key, by which a cluster routes the script
-- ARGV  1… the command and its arguments
-- Returns the command's reply
return redis.call(unpack(ARGV))

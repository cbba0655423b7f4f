#!lua flags=allow-oom
-- Replace the mark of the reader whom a visitor joined by one that stands for nobody, unless the meter has changed.
--
-- KEYS  1 the visitor's meter (`count_story.lua` describes its bytes)
-- ARGV  1 the mark that was seen, behind the byte that says that the meter joined a reader   2 another mark (8 bytes)
if redis.call('GETRANGE', KEYS[1], 5, 13) == ARGV[1] then redis.call('SETRANGE', KEYS[1], 6, ARGV[2]) end

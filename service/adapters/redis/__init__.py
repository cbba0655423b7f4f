"""The store: the only room that imports redis.

`keys` names every key, `codec` says what a record looks like, `link` is the one wait of a check, `readers` and `meters`
are what is done with them. The Lua scripts beside (`lua/`) are what has to be atomic; each names its KEYS and ARGV.
"""

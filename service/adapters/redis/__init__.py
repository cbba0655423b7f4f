"""The store: the only package that imports redis.

`client` connects, runs commands and names keys. One package for each kind of record defines how it is stored, read and changed.
What has to be atomic is a Lua script in `lua/`; its header lists its keys, its arguments and its results.
"""

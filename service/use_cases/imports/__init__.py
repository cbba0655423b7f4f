"""Import many rows at once: validate, stage in chunks, commit with one key, apply, undo, whatever the rows are about.

`bulk_imports` is what the entrypoints call. A `kind` says what its rows mean: how they are planned, applied and undone.
"""

"""Import grants for many readers from a CSV file: validate, stage in chunks, commit with one key, apply, undo.

`grant_imports` is what the entrypoints call. `csv_file`, `plan`, `grant_states` and `apply` are particular to grants; the
staged chunks, the lease, the `runner` and the pacing suit an import of anything.
"""

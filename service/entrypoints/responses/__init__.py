"""The schema of every answer and the error table, shared by all entrypoints."""

"""Changes to everything that is kept of a reader: merges and erasure."""

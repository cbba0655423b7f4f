"""Imports in the store: staged chunks, the key that commits, and the lease on the work, of whatever kind the rows are."""

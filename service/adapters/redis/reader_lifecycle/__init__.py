"""Merges and erasure of readers."""

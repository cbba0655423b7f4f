"""Grants and bulk imports of grants in the store."""

"""Measurements, never timed tests: `make bench`."""

"""Builds a release from the last commit: `python -m release`, which `make release` runs."""

"""Usage counters, statistics and alerts."""

"""Counters and alert flags for the dashboard."""

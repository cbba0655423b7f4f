"""Requests that wait for a second admin."""

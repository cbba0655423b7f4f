"""Backup, doctor, and the jobs that run in the background."""

"""The embedded Valkey, kept in `PAYWALL_DATA` and owned by one process at a time."""

"""The processes of `paywall serve` and `paywall worker`."""

"""Environment variables and `paywall.toml`, read once into one frozen `Settings`."""

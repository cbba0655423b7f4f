"""Import grants for many readers from a CSV file: the kind of import `grants`."""

"""Create, change and revoke grants, one at a time and in bulk."""

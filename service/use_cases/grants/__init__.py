"""Create, change and revoke grants; approvals and bulk imports."""

"""Give access, change it, take it back; approvals and bulk imports."""

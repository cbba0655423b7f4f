"""The service's own state in the store: secrets, policies, the leader's lease, snapshots."""

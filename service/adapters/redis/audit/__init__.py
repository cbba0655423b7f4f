"""The audit log in the store: an outbox for each slot, one hash chain, and its verification."""

"""Everything the use cases reach through: the store, Stripe, the identity provider, logs, the clock, cryptography."""

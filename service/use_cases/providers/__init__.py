"""Sources of other providers than Stripe: one at a time, or a whole set as a snapshot."""

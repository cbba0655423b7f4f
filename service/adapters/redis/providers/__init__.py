"""What other providers than Stripe report, in the store."""

"""What Stripe does: how subscriptions, invoices and payments live. No HTTP here."""

"""Stripe's rules for subscriptions, invoices and payments, without HTTP."""

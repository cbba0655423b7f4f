"""Stripe's objects and events in the store."""

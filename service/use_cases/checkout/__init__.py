"""Sell plans: prices, Checkout pages and the customer portal."""

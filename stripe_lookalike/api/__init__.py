"""Stripe's API routes, with one module for each resource. The rules are in `domain`."""

from __future__ import annotations

from stripe_lookalike.api import (
    account,
    catalogue,
    checkout,
    customers,
    discounts,
    entitlements,
    events,
    invoices,
    payments,
    portal,
    subscription_items,
    subscriptions,
    webhook_endpoints,
)

_MODULES = (
    account,
    catalogue,
    checkout,
    customers,
    discounts,
    entitlements,
    events,
    invoices,
    payments,
    portal,
    subscription_items,
    subscriptions,
    webhook_endpoints,
)
ROUTES = [route for module in _MODULES for route in module.routes.all]

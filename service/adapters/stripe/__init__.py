"""Stripe: the only package that imports `stripe`. It knows neither Flask nor the store.

`webhook` verifies a delivery, `events` finds what it points at, `translate` turns Stripe's objects into
`service.domain.stripe_facts`. `gateway` calls Stripe's API: `api_requests` are its requests, `transport` sends them.
"""

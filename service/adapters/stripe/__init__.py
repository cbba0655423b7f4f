"""Stripe: the only room that imports `stripe`. It knows neither Flask nor the store.

Stripe's objects end here. `webhook` says whether a delivery is Stripe's, `events` what it points at, `translate` what
its payload says; `gateway` asks Stripe itself. All of them speak `service.domain.stripe_facts`. Start reading at `events`.
"""

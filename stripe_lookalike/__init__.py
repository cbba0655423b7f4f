"""A Stripe look-alike for the demo and for tests: a stateful HTTP server with a clock that you can move.

The real SDK works with it: `stripe.StripeClient("sk_test_x", base_addresses={"api": running.url})`. Start reading in
`app.py`. `request_pipeline.py` handles an API request, `domain/` holds Stripe's rules, and `control.py` holds the routes by
which a test controls the look-alike. `paywall serve` never uses it.
"""

from __future__ import annotations

from stripe_lookalike.app import create_lookalike
from stripe_lookalike.domain.endpoints import Webhook
from stripe_lookalike.server import RunningLookalike, serve_lookalike

__all__ = ["RunningLookalike", "Webhook", "create_lookalike", "serve_lookalike"]

"""A look-alike of Stripe, for the demo and for tests: stateful, over HTTP, with a clock that can be moved.

The real SDK talks to it: `stripe.StripeClient("sk_test_x", base_addresses={"api": running.url})`. Start reading in
`app.py`; `request_pipeline.py` is the way of a request, `domain/` is what Stripe does, `control.py` what a test can pull. It is
never part of `paywall serve`.
"""

from __future__ import annotations

from stripe_lookalike.app import create_lookalike
from stripe_lookalike.domain.endpoints import Webhook
from stripe_lookalike.server import RunningLookalike, serve_lookalike

__all__ = ["RunningLookalike", "Webhook", "create_lookalike", "serve_lookalike"]

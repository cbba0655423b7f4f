"""Parameters of paths, queries, and headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.entrypoints.http.openapi.samples import DECISION

IN_PATH: Mapping[str, tuple[str, Any]] = {
    "approval": ("The ID of the approval.", "ap_58f1c7e2a9d04b36"),
    "decision": ("The `decision_id` of an answer.", DECISION),
    "external_id": ("The ID of the subscription at the provider.", "print-20931"),
    "event": ("The ID of the event at Stripe.", "evt_1NG8Du2eZvKYlo2C"),
    "grant": ("The ID of the grant.", "gr_fc7303531234ba9eda5acd5d"),
    "import_id": ("The ID of the import.", "im_3b0a7b1e9c1f4a52"),
    "invite_id": ("The ID of the invitation.", "iv_7c1e0b94d2a85f63"),
    "name": ("The name of the key.", "newsroom-desk"),
    "pass_id": ("The ID of the gift link.", "sp_53c7db64d493d8a089da"),
    "provider": ("The name of the provider in `paywall.toml`.", "print"),
    "reader": ("Your site's ID of the reader.", "r-1042"),
    "story": ("Your site's ID of the story.", "2026-harbour-contract"),
    "subscription": ("The ID of the subscription at Stripe.", "sub_1MowQVLkdIwHu7ix"),
}
"""Each parameter of a path, with a description and an example."""

EXAMPLES: Mapping[str, Any] = {
    "Idempotency-Key": "5c0d9b7e-grant-r-1042",
    "access": True,
    "action": "grant.create",
    "actor": "ann",
    "after": "cmVhZGVyczpyLWVsZW5h",
    "at": "2026-11-20T09:00:00Z",
    "days": 30,
    "dry_run": True,
    "ends_before": "2027-01-01T00:00:00Z",
    "force": False,
    "import": "im_3b0a7b1e9c1f4a52",
    "limit": 50,
    "owner": "r-1042",
    "plan": "vip",
    "prefix": "r-10",
    "reader": "r-1042",
    "reason": "The press card expired",
    "source": "grant",
    "standing": "grace",
    "state": "dead",
    "status": "active",
    "target": "gr_fc7303531234ba9eda5acd5d",
}
"""An example of each parameter of a query or a header. Its description is in the route."""

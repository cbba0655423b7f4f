"""What each parameter and each response is, and the examples of bodies that differ from those of their properties."""

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

RESPONSES: Mapping[str, str] = {
    "AccessOut": "The decision.",
    "AccountSummaryOut": "What the account page shows.",
    "ActivityOut": "The statistics.",
    "ApprovalOut": "The request and its state.",
    "AttentionOut": "The alerts.",
    "BatchOut": "The decisions.",
    "ComparisonSummaryOut": "The summary.",
    "DecisionOut": "The decision as it was answered, with its steps.",
    "DryRunOut": "What the file would do, and the mistakes in the file. Nothing is changed.",
    "ErasedOut": "What was erased.",
    "EventOut": "The event.",
    "GiftOut": "The gift link, and what the reader can still give.",
    "GiftsOut": "What the reader can still give, and what they gave.",
    "GrantOut": "The grant.",
    "AcceptedOut": "The seat that the reader has now.",
    "CreatedInviteOut": "The invitation, with its token.",
    "ExternalOut": "The source.",
    "GroupsOut": "The groups of this owner.",
    "InviteOut": "The invitation that was withdrawn.",
    "GroupOut": "The seats of the group.",
    "HomeOut": "The addresses.",
    "ImportOut": "The import and its progress.",
    "JwksOut": "The public keys, as a JSON Web Key Set.",
    "KeyOut": "The key, without its secret.",
    "LinkedOut": "The link.",
    "MergedOut": "The two readers, who are one now.",
    "NewKeyOut": "The key. It is never shown again.",
    "PassOut": "The gift link.",
    "ReaderExportOut": "Everything that is kept of the reader.",
    "ReaderOut": "What the reader holds.",
    "ReceiptOut": "The event is recorded, or doesn't concern this service.",
    "ReturnedOut": "Whether the purchase is in effect.",
    "SnapshotOut": "The file and its progress.",
    "StatusOut": "All is well.",
    "StoryOut": "What is known of the story.",
    "UnlinkedOut": "The link that was removed.",
    "UrlOut": "The page at Stripe.",
    "docs": "The page.",
    "openapi": "This description.",
    "show_metrics": "The metrics.",
}
"""Schema of an answer, or operation whose answer has none → what the answer is."""

BODIES: Mapping[str, Mapping[str, Any]] = {
    "AccessIn": {"pass": ..., "incumbent": ..., "explain": ..., "context": ...},
    "CheckoutIn": {
        "plan": ...,
        "cancel_url": ...,
        "quantity": ...,
        "locale": ...,
        "currency": ...,
        "promotion_code": ...,
    },
    "GroupOut": {"removed": []},
    "GrantChangesIn": {"revoke": ..., "grants": ...},
    "GrantIn": {"features": ..., "from": ...},
    "KeyIn": {"reason": ...},
    "LinkIn": {"subscription": ..., "reason": ...},
    "MergeIn": {"reason": ...},
    "NextStepOut": {"verified": ..., "until": ...},
    "StoryIn": {"tier": ...},
    "UnlinkedOut": {"subscription": ...},
}
"""Schema → properties that the example of a whole body leaves out (`...`) or has with another value."""

_GRANT: Mapping[str, Any] = {
    "id": "gr_fc7303531234ba9eda5acd5d",
    "reader": "r-1042",
    "plan": "vip",
    "features": [],
    "reason": "Press card",
    "from": "2026-11-29T10:15:00Z",
    "until": "2027-06-30T22:00:00Z",
    "status": "active",
    "actor": "ann",
    "created_at": "2026-11-29T10:15:00Z",
    "import": None,
}

OUTCOMES: Mapping[str, Mapping[str, Any]] = {
    "confirm_approval": {"state": "confirmed", "settled_by": "ben", "outcome": {"grant": _GRANT}},
    "refuse_approval": {"state": "refused", "settled_by": "ben"},
    "revoke_grant": {"status": "revoked"},
    "revoke_pass": {"status": "revoked"},
    "readyz": {"status": "ready"},
    "undo_import": {"state": "undone", "undo": {"taken_back": 115, "left_alone": 0}},
}
"""Operation → values of its answer's example that differ from those of the schema."""

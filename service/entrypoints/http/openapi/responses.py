"""What each response is, and the examples of bodies that differ from those of their properties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.entrypoints.http.openapi.samples import GRANT

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

OUTCOMES: Mapping[str, Mapping[str, Any]] = {
    "confirm_approval": {"state": "confirmed", "settled_by": "ben", "outcome": {"grant": GRANT}},
    "refuse_approval": {"state": "refused", "settled_by": "ben"},
    "revoke_grant": {"status": "revoked"},
    "revoke_pass": {"status": "revoked"},
    "readyz": {"status": "ready"},
    "undo_import": {"state": "undone", "undo": {"taken_back": 115, "left_alone": 0}},
}
"""Operation → values of its answer's example that differ from those of the schema."""

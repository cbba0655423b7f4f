"""The words that the staff pages show for the service's codes. A code without a label is shown by its own name."""

from __future__ import annotations

from collections.abc import Mapping


def label(table: Mapping[str, str], code: object) -> str:
    """Return the label that a table has for a code; without one, the code in words."""
    return table.get(str(code), str(code).replace("_", " ").capitalize())


REASONS: Mapping[str, str] = {
    "free": "Free for everyone",
    "registered": "Signed in",
    "subscription": "Subscription",
    "trial": "Trial",
    "grace": "Grace period, payment is being retried",
    "pass": "Pass",
    "seat": "Group seat",
    "grant": "Grant",
    "gift": "Gift or gift link",
    "institution": "Institution",
    "metered": "Metered (free story)",
    "no_entitlement": "No subscription",
    "meter_used_up": "Free stories used up",
    "sign_in_required": "Sign-in required",
    "verification_required": "Verified address required",
    "store_unavailable": "Store unavailable",
}

SOURCES: Mapping[str, str] = {
    "subscription": "Subscription",
    "stripe_entitlement": "Stripe entitlement",
    "external": "Other provider",
    "pass": "Pass",
    "seat": "Group seat",
    "grant": "Grant",
    "gift": "Gift",
    "institution": "Institution",
}

STANDINGS: Mapping[str, str] = {
    "good": "Active",
    "grace": "Grace period",
    "ended": "Ended",
    "none": "No access",
}

STATES: Mapping[str, str] = {
    "stale": "Superseded",
    "dead": "Failed",
    "staged": "Pending approval",
    "applying": "In progress",
    "waiting": "Pending",
}
"""States whose label is not their own name: of events, imports, approvals, grants and gift links."""

TONES: Mapping[str, str] = {
    **dict.fromkeys(("good", "active", "applied", "done", "full"), "good"),
    **dict.fromkeys(("grace", "pending", "waiting", "applying", "staged", "scheduled", "used_up"), "warn"),
    **dict.fromkeys(("dead", "upsell", "revoked"), "bad"),
}
"""State → its color, which stands beside the state's label and never alone."""

ACTIONS: Mapping[str, str] = {
    "grant.create": "Access granted",
    "grant.change": "Expiry date changed",
    "grant.revoke": "Grant revoked",
    "import.apply": "Import applied",
    "import.undo": "Import undone",
    "link": "Linked to Stripe",
    "unlink": "Link to Stripe removed",
    "merge": "Readers merged",
    "external.put": "Subscription of a provider reported",
    "external.end": "Subscription of a provider ended",
    "seat.give": "Seat assigned",
    "seat.take": "Seat removed",
    "reader.erase": "Reader erased",
    "key.create": "API key created",
    "key.end": "API key revoked",
    "pass.create": "Gift link created",
    "pass.revoke": "Gift link revoked",
    "approval.ask": "Approval requested",
    "approval.confirm": "Request approved",
    "approval.refuse": "Request rejected",
    "event.replay": "Event replayed",
    "restore": "Backup restored",
}
"""Action of an audit record → what was done."""

REQUESTS: Mapping[str, str] = {
    "grant.create": "Grant access",
    "grant.change": "Change expiry date",
    "import.apply": "Apply import",
}
"""Action of a pending approval → what is requested; nothing of it is in effect."""

APPROVAL_REQUESTED = "Approval requested. A second admin must approve this before it takes effect."

STEPS: Mapping[str, str] = {
    "free": "Free for everyone?",
    "sign_in": "Does signing in open it?",
    "store": "Store available, and not full?",
    "entitlement": "Active entitlement?",
    "pass": "Gift link?",
    "meter": "Free stories left?",
    "locked": "Result: paywall",
}

VERDICTS: Mapping[str, str] = {
    **REASONS,
    "free": "Yes",
    "not free": "No",
    "none opens it": "No",
    "metered": "Yes",
    "used up": "No",
    "registered": "Yes",
    "not signed in": "No, not signed in",
    "not signed in with a verified address": "No, not signed in with a verified address",
    "signed in, the address is not verified": "No, the address is not verified",
    "nobody to meter": "Not signed in, so nothing is counted",
    "unreachable: full": "No, so the full story is shown",
    "unreachable: upsell": "No, so the paywall is shown",
}
"""Verdict of a step → the answer to its question."""

FIELDS: Mapping[str, str] = {
    "requires": "Required feature (any of)",
    "sign_in": "Opens for signed-in readers",
    "open_parts": "Parts free for everyone",
    "parts": "Requested parts",
    "held": "Entitlements",
    "until": "Expires",
    "limit": "Free stories",
    "used": "Read so far",
    "used_at_most": "Read by then, at most",
    "counted": "Counted now",
    "resets_at": "Resets",
    "known_features": "Cached features",
    "id": "ID",
    "from": "Starts",
    "openings": "Maximum uses",
    "kind": "Request",
}
"""Fields of explanations, requests and audit records whose label is not their own name."""

TYPED_FIELDS: Mapping[str, str] = {
    "reason": "Reason",
    "until": "Date and time",
    "object": "Customer or subscription",
    "from": "Other reader",
    "reader": "Reader",
    "story": "Story",
    "openings": "Maximum uses",
    "name": "Name",
}
"""The form fields that people fill in by typing, without those that hold a key."""

FORM_FIELDS: Mapping[str, str] = {
    "at": "As of",
    "id": "ID",
    "kind": "Contents",
    "object": "Customer or subscription",
    "openings": "Maximum uses",
    "sure": "Confirmation",
    "typed": "Reader ID",
    "until": "Expires",
    "what": "Plan or feature",
}
"""Fields of forms that a refusal names otherwise than by their own name."""

ROLES: Mapping[str, str] = {
    "viewer": "Viewer",
    "granter": "Editor or support",
    "owner": "Owner",
}

ROLE_DESCRIPTIONS: Mapping[str, str] = {
    "viewer": "Viewer – can see everything and change nothing",
    "granter": "Editor or support (granter) – can also grant, import, link, approve, and manage seats and gift links",
    "owner": "Owner – can do everything, including merge, erase, export, replay and API keys",
}

SIGN_IN_ERRORS: Mapping[str, tuple[int, str]] = {
    "lost": (
        400,
        "This sign-in started in another window or at another address, or more than ten minutes ago. Try again.",
    ),
    "denied": (403, "{host} did not sign you in. You canceled the sign-in, or you may not use this application."),
    "unaccepted": (
        403,
        "The response of {host} is not valid, so you are not signed in. Try again. If the problem persists, your "
        "administrator finds the cause in the log of this service.",
    ),
    "no_name": (
        403,
        "{host} knows you, but did not send a usable name. Contact your administrator: the setting "
        "PAYWALL_OIDC_NAME_CLAIM names the claim.",
    ),
    "unverified": (403, "Your email address is not verified at {host}. Verify it there and try again."),
    "no_group": (
        403,
        "{host} knows you, but none of your groups has access to these pages. Contact your administrator.",
    ),
    "away": (503, "{host} is unavailable. Try again in a moment, or sign in with an API key."),
    "store": (503, "The store is unavailable, so you are not signed in. Try again in a moment."),
}
"""Kind of a failed OpenID Connect sign-in (see `service.adapters.openid.attempt`) → status and message."""

TABLES: Mapping[str, Mapping[str, str]] = {
    "reason": REASONS,
    "verdict": VERDICTS,
    "source": SOURCES,
    "standing": STANDINGS,
    "state": STATES,
    "action": ACTIONS,
    "request": REQUESTS,
    "step": STEPS,
    "field": FIELDS,
    "form_field": FORM_FIELDS,
    "role": ROLES,
    "role_description": ROLE_DESCRIPTIONS,
}
"""Template filter → its labels."""

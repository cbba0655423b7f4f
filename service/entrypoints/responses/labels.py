"""The page's words for the service's codes. A code without a word here is shown as it is."""

from __future__ import annotations

from collections.abc import Mapping

REASONS: Mapping[str, str] = {
    "free": "Free for everybody",
    "subscription": "Opened by a subscription",
    "trial": "Opened by a trial",
    "grace": "Open in grace: a payment is being tried again",
    "pass": "Opened by a pass",
    "seat": "Opened by a seat of a group",
    "grant": "Opened by a grant",
    "gift": "Opened by a gift",
    "institution": "Opened by an institution",
    "metered": "One of the free stories",
    "no_entitlement": "Nothing held opens it",
    "meter_used_up": "The free stories are used up",
    "sign_in_required": "Nobody to meter: not signed in",
    "store_unavailable": "The store could not be reached",
}

SOURCES: Mapping[str, str] = {
    "subscription": "Subscription",
    "stripe_entitlement": "Stripe entitlement",
    "pass": "Pass",
    "seat": "Group seat",
    "grant": "Grant",
    "gift": "Gift",
    "institution": "Institution",
}

STANDINGS: Mapping[str, str] = {
    "good": "Gives access",
    "grace": "In grace",
    "ended": "Ended",
    "none": "Gives nothing",
}

STATES: Mapping[str, str] = {
    "pending": "Pending",
    "applied": "Applied",
    "stale": "Out of date",
    "ignored": "Ignored",
    "dead": "Given up",
    "staged": "Waiting",
    "applying": "Under way",
    "done": "Done",
    "undone": "Undone",
    "waiting": "Waiting",
    "active": "Active",
    "used_up": "Used up",
    "expired": "Ended",
    "revoked": "Revoked",
    "scheduled": "Scheduled",
}

TONES: Mapping[str, str] = {
    "good": "good",
    "active": "good",
    "applied": "good",
    "done": "good",
    "full": "good",
    "grace": "warn",
    "pending": "warn",
    "waiting": "warn",
    "applying": "warn",
    "staged": "warn",
    "scheduled": "warn",
    "used_up": "warn",
    "dead": "bad",
    "upsell": "bad",
    "revoked": "bad",
}
"""Which colour a state has; beside its word, never alone."""

ACTIONS: Mapping[str, str] = {
    "grant.create": "Access granted",
    "grant.change": "Grant's end changed",
    "grant.revoke": "Grant revoked",
    "import.apply": "Grants imported",
    "import.undo": "Import undone",
    "link": "Linked to Stripe",
    "merge": "Readers merged",
    "seat.give": "Seat given",
    "seat.take": "Seat taken back",
    "reader.erase": "Reader erased",
    "key.create": "Key made",
    "key.end": "Key ended",
    "pass.create": "Story pass made",
    "pass.revoke": "Story pass revoked",
    "approval.ask": "Second admin asked for",
    "approval.confirm": "Confirmed",
    "approval.refuse": "Refused",
    "event.replay": "Event replayed",
}

WISHES: Mapping[str, str] = {
    "grant.create": "Give access",
    "grant.change": "Change a grant's end",
    "import.apply": "Import grants",
}
"""What waits for a second admin: nothing of it has been done."""

STEPS: Mapping[str, str] = {
    "free": "Is it free?",
    "store": "Can the store be reached?",
    "entitlement": "Does something that the reader holds open it?",
    "pass": "Does a story pass open it?",
    "meter": "Are there free stories left?",
    "locked": "Then it stays locked",
    "history": "What led there",
}

FIELDS: Mapping[str, str] = {
    "tier": "Tier",
    "requires": "Opened by any of",
    "open_parts": "Parts open to everybody",
    "parts": "Parts asked about",
    "held": "Held",
    "source": "From",
    "plan": "Plan",
    "until": "Until",
    "meter": "Meter",
    "limit": "Free stories",
    "used": "Read so far",
    "used_at_most": "Read by then, at most",
    "already_counted": "This one was counted before",
    "counted": "Counted now",
    "resets_at": "Begins anew",
    "known_features": "Known from before",
    "id": "Id",
    "features": "Features",
    "from": "From",
    "status": "Status",
    "reader": "Reader",
    "role": "Role",
    "story": "Story",
    "openings": "Openings",
    "subscription": "Subscription",
    "since": "Since",
    "rows": "Rows",
    "new": "New",
    "extended": "Extended",
    "unchanged": "Unchanged",
    "skipped": "Skipped",
    "import": "Import",
    "kind": "What",
    "grant": "Grant",
    "approval": "Approval",
    "state": "State",
}

HANDS: Mapping[str, tuple[str, str]] = {
    "dead_letters": (
        "event of Stripe’s was given up after ten tries",
        "events of Stripe’s were given up after ten tries",
    ),
    "unknown_prices": (
        "price was bought that no plan has, so it opens nothing",
        "prices were bought that no plan has, so they open nothing",
    ),
    "ownerless": ("payment is nobody’s: no reader is named in it", "payments are nobody’s: no reader is named in them"),
    "grants_ending": ("grant ends within 14 days", "grants end within 14 days"),
    "drift": (
        "object was not kept as Stripe has it, at the last sweep",
        "objects were not kept as Stripe has them, at the last sweep",
    ),
    "event_gap": (
        "event of Stripe’s never reached us and was found in its list",
        "events of Stripe’s never reached us and were found in its list",
    ),
    "catch_up_late": ("catch-up with Stripe is over an hour late", "catch-ups with Stripe are late"),
    "clock": ("clock is off: this machine’s is behind Stripe’s", "clocks are off"),
}
"""What needs a hand: of one, and of several. A kind without words here is told in its own."""

ROLES: Mapping[str, str] = {
    "viewer": "Viewer – sees everything, changes nothing",
    "granter": "Granter – also grants, imports, links, seats, passes, approvals",
    "owner": "Owner – everything: also merge, erase, export, replay, keys",
}

NOT_SIGNED_IN: Mapping[str, tuple[int, str]] = {
    "lost": (
        400,
        "This sign-in was begun in another window, at another address, or more than ten minutes ago. Begin again.",
    ),
    "denied": (403, "{host} did not sign you in: it was called off there, or you may not use this page by it."),
    "unaccepted": (
        403,
        "The answer of {host} did not hold, so nobody was signed in. Begin again; if it stays so, whoever runs this "
        "service finds the reason in its log.",
    ),
    "no_name": (
        403,
        "{host} knows you, but did not say by which name. Ask whoever runs this service: the name is in the claim "
        "that PAYWALL_OIDC_NAME_CLAIM says.",
    ),
    "unverified": (403, "Your e-mail address is not verified at {host}. Verify it there, and begin again."),
    "no_group": (
        403,
        "You are known to {host}, but none of your groups may use this page. Ask whoever runs this service, or looks "
        "after the groups there.",
    ),
    "away": (503, "{host} cannot be asked now. Try again in a moment, or sign in by a key."),
    "store": (503, "The store cannot be reached now, so nobody was signed in. Try again in a moment."),
}
"""Why nobody was signed in by OpenID Connect: the status and the sentence; `service.adapters.openid.errors` has the kinds."""

TABLES: Mapping[str, Mapping[str, str]] = {
    "reason": REASONS,
    "source": SOURCES,
    "standing": STANDINGS,
    "state": STATES,
    "action": ACTIONS,
    "wish": WISHES,
    "step": STEPS,
    "field": FIELDS,
    "role": ROLES,
}
"""Filter → its words, for templates."""

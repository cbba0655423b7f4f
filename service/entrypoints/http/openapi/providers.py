"""Properties of subscriptions at other providers than Stripe."""

from __future__ import annotations

from collections.abc import Mapping

from service.entrypoints.http.openapi.samples import Described

PROPERTIES: Mapping[str, Described] = {
    "SnapshotOut.provider": ("The name of the provider in `paywall.toml`.", "print"),
    "ExternalOut.type": ("The type of the source.", "external"),
    "ExternalOut.id": ("The provider and the ID there.", "print:print-20931"),
    "ExternalIn.until": ("When it ends. Without an end, it goes on until you end it.", "2027-01-01T00:00:00Z"),
    "ExternalOut.reason": ("The reason of decisions that rest on it. `null`: it opens nothing.", "subscription"),
    "ExternalOut.actor": ("Always `null`.", None),
    "ExternalOut.status": ("The status: `active` or `ended`.", "active"),
}

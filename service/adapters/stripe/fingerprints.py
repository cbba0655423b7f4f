"""What tells two states of an object apart: a few of its values, in one form whatever the API version.

`service.domain.event_order` compares them with `previous_attributes`, which go through the same functions: a value that an
event does not name is not there. Reader ids are digested, since erasing a reader must not have to look here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

from service.adapters.stripe.json_fields import Json, fields, ident, rows, text, whole
from service.domain.stripe_facts import Fingerprint

_OF_SUBSCRIPTION: dict[str, Callable[[Any], object]] = {
    "status": text,
    "cancel_at": whole,
    "cancel_at_period_end": bool,
    "canceled_at": whole,
    "ended_at": whole,
    "trial_end": whole,
    "latest_invoice": ident,
    "pause_collection": bool,
    "quantity": whole,
    "current_period_start": whole,
    "current_period_end": whole,
}
_OF_SESSION: dict[str, Callable[[Any], object]] = {"status": text, "payment_status": text, "customer": ident}
_CLAIMS = ("reader_id", "gift_recipient", "gift")


def subscription(obj: Json) -> Fingerprint:
    found = _named(obj, _OF_SUBSCRIPTION)
    if "items" in obj:
        found["items"] = [_item(row) for row in rows(obj["items"])]
    return found


def _item(row: Json) -> list[object]:
    price = ident(row.get("price")) or ident(row.get("plan"))
    period = (whole(row.get("current_period_start")), whole(row.get("current_period_end")))
    return [ident(row), price, whole(row.get("quantity")), *period]


def session(obj: Json) -> Fingerprint:
    return _named(obj, _OF_SESSION)


def customer(obj: Json) -> Fingerprint:
    return _named(obj, {"deleted": bool})


def entitlements(held: Sequence[Json]) -> Fingerprint:
    return {"lookup_keys": sorted({key for row in held if (key := text(row.get("lookup_key")))})}


def _summary(obj: Json) -> Fingerprint:
    return entitlements(rows(obj["entitlements"])) if "entitlements" in obj else {}


def previous(kind: str, attributes: Json) -> Fingerprint:
    """`previous_attributes` of an object of this kind."""
    of = {"subscription": subscription, "session": session, "customer": customer, "entitlements": _summary}
    return of[kind](attributes)


def _named(obj: Json, wanted: dict[str, Callable[[Any], object]]) -> dict[str, object]:
    found = {name: read(obj[name]) for name, read in wanted.items() if name in obj}
    metadata = fields(obj.get("metadata"))
    for name in _CLAIMS:
        if name in metadata:
            found[f"metadata.{name}"] = _digest(metadata[name])
    return found


def _digest(value: Any) -> str | None:
    written = text(value)
    return blake2b(written.encode(), digest_size=8).hexdigest() if written else None

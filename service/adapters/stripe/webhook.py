"""Whether a delivery is Stripe's, and an event: raw bytes → `Envelope`, or `NotStripe` and nothing else.

The SDK checks the signature; the age is checked here against the caller's clock, and the envelope is decoded by
msgspec: one strict, typed pass over the raw bytes that refuses NaN, half surrogates, a byte order mark and nesting
without end, and leaves fields that it does not know aside (Stripe adds some every month).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from stripe import WebhookSignature

LONGEST_HEADER = 4_096

Why = Literal[
    "no_secret", "no_header", "bad_header", "bad_signature", "too_old", "not_utf8", "not_json", "not_an_event"
]


TOLERANCE = 300
"""Seconds after which a signature is too old, as in Stripe's own SDK."""


class NotStripe(Exception):
    """Not signed by Stripe, too old, or not an event. `why` is a constant word; nothing of the delivery is repeated."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why: Why = why


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event as it was delivered. `created` in epoch seconds; `object` is Stripe's object, as JSON.

    A thin event (`thin`) has no object: only `related`, the type and the id of the object that it is about.
    """

    id: str
    type: str
    created: int
    livemode: bool
    account: str | None
    object: dict[str, Any] = field(repr=False)
    previous_attributes: dict[str, Any] = field(default_factory=dict, repr=False)
    api_version: str | None = None
    thin: bool = False
    related: tuple[str, str] | None = None


def verify(raw: bytes, header: str | None, secrets: Sequence[str], now: float) -> Envelope:
    """The event, if any of `secrets` signed it at most `TOLERANCE` seconds before `now`. Raises `NotStripe`."""
    if not secrets:
        raise NotStripe("no_secret")
    if not header:
        raise NotStripe("no_header")
    if len(header) > LONGEST_HEADER or not header.isascii():
        raise NotStripe("bad_header")
    signed_at = _signed_at(header)
    try:
        body = raw.decode()
    except UnicodeDecodeError:
        raise NotStripe("not_utf8") from None
    if not any(_signed_with(secret, body, header) for secret in secrets):
        raise NotStripe("bad_signature")
    if signed_at < now - TOLERANCE:
        raise NotStripe("too_old")
    return parse(raw)


def parse(raw: bytes) -> Envelope:
    """The event in a body that was verified before. Raises `NotStripe`."""
    try:
        return _envelope(_decoder.decode(raw))
    except msgspec.ValidationError:
        raise NotStripe("not_an_event") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotStripe("not_json") from None


def envelope(event: dict[str, Any]) -> Envelope:
    """An event that was read from Stripe's API. Raises `NotStripe`."""
    try:
        return _envelope(msgspec.convert(event, type=_Event | _ThinEvent))
    except msgspec.ValidationError:
        raise NotStripe("not_an_event") from None


def _signed_at(header: str) -> int:
    """The time that the SDK puts under its signature: the first `t`, read exactly as it does."""
    try:
        return next(int(value) for key, value in (part.split("=", 2)[:2] for part in header.split(",")) if key == "t")
    except (ValueError, StopIteration):
        raise NotStripe("bad_header") from None


def _signed_with(secret: str, body: str, header: str) -> bool:
    try:
        return bool(WebhookSignature.verify_header(body, header, secret, tolerance=None))
    except Exception:  # The SDK raises whatever its parser, its HMAC or its own errors raise: each means "no".
        return False


_Moment = Annotated[int, msgspec.Meta(ge=0, lt=1 << 40)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class _Data(msgspec.Struct):
    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None


class _Event(msgspec.Struct, tag_field="object", tag="event"):
    """A snapshot event: docs.stripe.com/api/events/object."""

    id: _Name
    type: _Name
    created: _Moment
    livemode: bool
    data: _Data
    account: str | None = None
    api_version: str | None = None


class _Related(msgspec.Struct):
    id: str
    type: str


class _ThinEvent(msgspec.Struct, tag_field="object", tag="v2.core.event"):
    """A thin event notification: docs.stripe.com/api/v2/core/events/object, without its data."""

    id: _Name
    type: _Name
    created: Annotated[datetime, msgspec.Meta(tz=True)]
    livemode: bool
    context: str | None = None
    related_object: _Related | None = None


_decoder = msgspec.json.Decoder(_Event | _ThinEvent)


def _envelope(event: _Event | _ThinEvent) -> Envelope:
    if isinstance(event, _ThinEvent):
        related = event.related_object
        return Envelope(
            id=event.id,
            type=event.type,
            created=int(event.created.timestamp()),
            livemode=event.livemode,
            account=event.context or None,
            object={},
            thin=True,
            related=(related.type, related.id) if related else None,
        )
    return Envelope(
        id=event.id,
        type=event.type,
        created=event.created,
        livemode=event.livemode,
        account=event.account or None,
        object=event.data.object,
        previous_attributes=event.data.previous_attributes or {},
        api_version=event.api_version,
    )

"""Verify that a delivery is Stripe's, and decode the event: raw bytes → `Envelope`, or `NotStripe`.

The SDK checks the signature. This module checks its age against the caller's clock, and decodes the envelope with
msgspec: one strict, typed pass over the raw bytes. It refuses NaN, half surrogates, a byte order mark and endless
nesting, and ignores unknown fields, since Stripe adds some every month.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

LONGEST_HEADER = 4_096

Why = Literal[
    "no_secret", "no_header", "bad_header", "bad_signature", "too_old", "not_utf8", "not_json", "not_an_event"
]


_SIGNATURE = re.compile(r"(?:^|,)v1=[0-9A-Fa-f]{64}(?:,|$)")
"""An HMAC with SHA-256, in hex."""

TOLERANCE = 300
"""Seconds after which a signature is too old; Stripe's SDK has the same default."""

_LONGEST_AGE = 10**9
"""The most seconds reported as the age of a signature: its moment can be any number, and the age is stored and shown."""


class NotStripe(Exception):
    """The delivery is not signed by Stripe, too old, or not an event. `why` is a constant word: no part of the body.

    `age`: seconds since Stripe signed the delivery, if that is too long ago by the clock of this machine; otherwise `None`.
    """

    def __init__(self, why: Why, age: int | None = None) -> None:
        super().__init__(why)
        self.why: Why = why
        self.age = age


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event as delivered. `created` is in epoch seconds, `object` is Stripe's object as JSON.

    A thin event (`thin`) has no object, only `related`: the type and the ID of the object that it is about.
    """

    id: str
    type: str
    created: int
    livemode: bool
    account: str | None
    object: dict[str, Any] = field(repr=False)
    previous_attributes: dict[str, Any] = field(default_factory=dict, repr=False)
    thin: bool = False
    related: tuple[str, str] | None = None


def check_header(header: str | None, secrets: Sequence[str]) -> str:
    """Return a `Stripe-Signature` that has a time and a signature (`t=…,v1=…`). Raises: NotStripe."""
    if not secrets:
        raise NotStripe("no_secret")
    if not header:
        raise NotStripe("no_header")
    if len(header) > LONGEST_HEADER or not header.isascii() or not _SIGNATURE.search(header):
        raise NotStripe("bad_header")
    _signed_at(header)
    return header


def verify_delivery(raw: bytes, header: str | None, secrets: Sequence[str], now: float) -> Envelope:
    """Return the event, if one of `secrets` signed it at most `TOLERANCE` seconds before `now`. Raises: NotStripe."""
    header = check_header(header, secrets)
    signed_at = _signed_at(header)
    try:
        body = raw.decode()
    except UnicodeDecodeError:
        raise NotStripe("not_utf8") from None
    if not any(_signed_with(secret, body, header) for secret in secrets):
        raise NotStripe("bad_signature")
    if signed_at < now - TOLERANCE:
        raise NotStripe("too_old", min(int(now) - signed_at, _LONGEST_AGE))
    return parse_delivery(raw)


def parse_delivery(raw: bytes) -> Envelope:
    """Return the event in a verified body. Raises: NotStripe."""
    try:
        return _envelope(_decoder.decode(raw))
    except msgspec.ValidationError:
        raise NotStripe("not_an_event") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotStripe("not_json") from None


def parse_api_event(event: dict[str, Any]) -> Envelope:
    """Return an event that was read from Stripe's API. Raises: NotStripe."""
    try:
        return _envelope(msgspec.convert(event, type=_Event | _ThinEvent))
    except msgspec.ValidationError:
        raise NotStripe("not_an_event") from None


def _signed_at(header: str) -> int:
    """Return the time that the SDK signs: the first `t` of the header, parsed as the SDK does. Raises: NotStripe."""
    try:
        return next(int(value) for key, value in (part.split("=", 2)[:2] for part in header.split(",")) if key == "t")
    except (ValueError, StopIteration):
        raise NotStripe("bad_header") from None


def _signed_with(secret: str, body: str, header: str) -> bool:
    from stripe import WebhookSignature  # with the first webhook: it takes 0.1 s of CPU

    try:
        return bool(WebhookSignature.verify_header(body, header, secret, tolerance=None))
    except Exception:  # The SDK's parser, its HMAC and its checks raise many types; each means an invalid signature.
        return False


_Moment = Annotated[int, msgspec.Meta(ge=0, lt=1 << 40)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class _Data(msgspec.Struct):
    object: dict[str, Any]
    previous_attributes: dict[str, Any] | None = None


class _Event(msgspec.Struct, tag_field="object", tag="event"):
    """A snapshot event, see docs.stripe.com/api/events/object."""

    id: _Name
    type: _Name
    created: _Moment
    livemode: bool
    data: _Data
    account: str | None = None


class _Related(msgspec.Struct):
    id: str
    type: str


class _ThinEvent(msgspec.Struct, tag_field="object", tag="v2.core.event"):
    """A thin event notification without its data, see docs.stripe.com/api/v2/core/events/object."""

    id: _Name
    type: _Name
    created: Annotated[datetime, msgspec.Meta(tz=True)]
    livemode: bool
    context: str | None = None
    related_object: _Related | None = None


_decoder = msgspec.json.Decoder(_Event | _ThinEvent)


def _envelope(event: _Event | _ThinEvent) -> Envelope:
    if isinstance(event, _Event):
        account, data = event.account or None, event.data
        previous = data.previous_attributes or {}
        return Envelope(event.id, event.type, event.created, event.livemode, account, data.object, previous)
    created, account, about = int(event.created.timestamp()), event.context or None, event.related_object
    related = (about.type, about.id) if about else None
    return Envelope(event.id, event.type, created, event.livemode, account, {}, thin=True, related=related)

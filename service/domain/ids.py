"""The rules for IDs, key names and reasons. Each reader returns the value or raises `ValueError` with a sentence."""

from __future__ import annotations

import re

LONGEST_ID = 128
"""Bytes of UTF-8."""

# Control characters, line and paragraph separators, characters that change the direction of text (Unicode's
# Bidi_Control), and halves of surrogate pairs.
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_PEOPLE = {"cli:": "uses the command line", "oidc:": "signs in by OpenID Connect"}
"""How the audit log begins the names of people without a key."""
_RESERVED = {prefix: f"a person who {what}" for prefix, what in _PEOPLE.items()} | {"site:": "a site key"}
"""How the audit log begins names that are not an admin key's; no key may have such a name."""


def escape_invisible(text: str) -> str:
    """Return a text for a terminal: what would color, move or turn it is written as an escape. Lines stay lines."""
    return _INVISIBLE.sub(
        lambda found: found[0] if found[0] in "\n\t" else found[0].encode("unicode_escape").decode(), text
    )


def wrong_id(text: str) -> str | None:
    """Return what makes a text no ID of the contract (its section "Words"), or `None`."""
    if not text:
        return "must not be empty"
    if _INVISIBLE.search(text):
        return "must not hold control or direction characters"
    if text[0].isspace() or text[-1].isspace():
        return "must not begin or end with a space"
    if len(text.encode()) > LONGEST_ID:
        return f"must have at most {LONGEST_ID} bytes of UTF-8"
    return None


def wrong_reader_id(text: str) -> str | None:
    """Return what makes a text no reader's ID, or `None`: an ID without a slash."""
    return wrong_id(text) or ("must not hold a slash" if "/" in text else None)


def read_id(value: object) -> str:
    """Return an ID: 1–128 bytes of UTF-8, no control or direction characters, no space at either end."""
    if type(value) is not str:
        raise ValueError("must be a string")
    if wrong := wrong_id(value):
        raise ValueError(wrong)
    return value


def read_reader(value: object) -> str:
    text = read_id(value)
    if "/" in text:
        raise ValueError("must not hold a slash")
    return text


def read_customer(value: object) -> str:
    """Return the ID of a customer at Stripe: `cus_…`, of letters, digits and `_`."""
    return _stripe_id(value, "cus_")


def read_subscription(value: object) -> str:
    """Return the ID of a subscription at Stripe: `sub_…`, of letters, digits and `_`."""
    return _stripe_id(value, "sub_")


def _stripe_id(value: object, prefix: str) -> str:
    text = read_id(value)
    if not re.fullmatch(prefix + "[A-Za-z0-9_]+", text):
        raise ValueError(f"must begin with {prefix}, followed by letters, digits or _")
    return text


def read_key_name(value: object) -> str:
    """Return a key's name: it is the actor in the audit log, and part of a path."""
    name = read_reader(value)
    for prefix, what in _RESERVED.items():
        if name.startswith(prefix):
            raise ValueError(f"must not begin with {prefix}: the audit log names {what} so")
    return name


def is_personal_name(actor: str) -> bool:
    """Return whether an actor of the audit log is a person without a key: at the command line, or with OpenID Connect."""
    return actor.startswith(tuple(_PEOPLE))


def read_text(value: object) -> str:
    """Return a text of at most 8,192 characters that UTF-8 can encode."""
    if type(value) is not str:
        raise ValueError("must be a string")
    if len(value) > 8_192:
        raise ValueError("must have at most 8192 characters")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a surrogate pair") from None
    return value


def read_reason(value: object) -> str:
    """Return an admin's reason for a change: 1–1,000 characters, not only blanks."""
    text = read_text(value)
    if not text.strip():
        raise ValueError("must say why: 1 to 1000 characters, not only blanks")
    if len(text) > 1_000:
        raise ValueError("must have at most 1000 characters")
    return text

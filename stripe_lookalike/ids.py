"""Ids as Stripe makes them: a prefix that tells the kind, and letters nobody can guess."""

from __future__ import annotations

import secrets
import string

_LETTERS = string.ascii_letters + string.digits


def letters(length: int) -> str:
    """Random letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def new(prefix: str) -> str:
    """`new("sub_1")` → `sub_1` and 23 letters."""
    return prefix + letters(23)

"""IDs like Stripe's: a prefix that names the kind of object, and random letters."""

from __future__ import annotations

import secrets
import string

_LETTERS = string.ascii_letters + string.digits


def letters(length: int) -> str:
    """Return random letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def new(prefix: str) -> str:
    """Return a new ID: `new("sub_1")` → `sub_1` and 23 random letters."""
    return prefix + letters(23)

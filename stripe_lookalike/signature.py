"""Stripe's webhook signature: HMAC-SHA256 over `timestamp.payload`, in the header `t=…,v1=…`."""

from __future__ import annotations

import hashlib
import hmac


def header(payload: bytes, secrets: list[str], timestamp: int) -> str:
    """Return the `Stripe-Signature` header, with a `v1` for each secret (two while a secret is being rotated)."""
    signed = f"{timestamp}.".encode() + payload
    marks = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    return ",".join([f"t={timestamp}", *(f"v1={mark}" for mark in marks)])

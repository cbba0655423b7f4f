"""What a store tells of itself, as far as `paywall doctor` wants to know it."""

from __future__ import annotations

SETTINGS = (
    b"appendonly",
    b"appendfsync",
    b"maxmemory",
    b"maxmemory-policy",
    b"save",
    b"min-replicas-to-write",
    b"min-replicas-max-lag",
)
"""What is asked of CONFIG GET: durability, and what happens when memory is full."""


def facts_in(info: bytes) -> dict[str, str]:
    """INFO's answer as name → value."""
    lines = (line.partition(":") for line in info.decode(errors="replace").splitlines() if not line.startswith("#"))
    return {name: value for name, colon, value in lines if colon}

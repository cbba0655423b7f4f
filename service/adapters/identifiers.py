"""New IDs of what the service itself makes: grants (`gr_`), approvals (`ap_`), imports (`im_`) and story passes (`sp_`)."""

from __future__ import annotations

import secrets


def new_token(now: float) -> str:
    """Return 24 hexadecimal digits that sort by the time they were made; one second may see several."""
    return f"{int(now * 1_000_000):014x}{secrets.token_hex(5)}"


def new_id(kind: str, now: float, token: str | None = None) -> str:
    """Return a new ID such as `gr_` and a token. A repeat of a request brings the same `token`, so it finds the same ID."""
    return f"{kind}_{token or new_token(now)}"

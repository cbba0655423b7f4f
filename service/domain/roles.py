"""Roles: what a key, or a person who signs in, may do."""

from __future__ import annotations

from typing import Literal

AdminRole = Literal["viewer", "granter", "owner"]
Role = Literal["site", "viewer", "granter", "owner"]
"""The website's keys have `site`; the other roles are for admins."""

ADMIN_ROLES: tuple[AdminRole, ...] = ("viewer", "granter", "owner")
"""From the fewest permissions to the most; each role includes the ones before it."""
RANKS: dict[Role, int] = {"site": 0, "viewer": 1, "granter": 2, "owner": 3}

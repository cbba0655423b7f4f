"""The name and role of a signed-in member of staff, from the provider's claims."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.adapters.openid.attempt import SignInFailed
from service.adapters.openid.settings import OpenIdSettings
from service.domain.roles import AdminRole


@dataclass(frozen=True, slots=True)
class StaffIdentity:
    """A user whom the provider knows and who may use the staff pages. `name` goes into the audit log."""

    name: str
    role: AdminRole


def needs_userinfo(settings: OpenIdSettings, claims: Mapping[str, Any]) -> bool:
    """Return whether the ID token leaves out a claim that the userinfo endpoint may have."""
    needed = {settings.groups_claim, settings.name_claim}
    return not needed | ({"email_verified"} if settings.name_claim == "email" else set()) <= set(claims)


def read_identity(settings: OpenIdSettings, claims: Mapping[str, Any], userinfo: Mapping[str, Any]) -> StaffIdentity:
    """Return the identity in verified claims; `userinfo` is empty where it was not requested.

    Raises: SignInFailed, if the claims have no usable name, an unverified email address, or no group with a role.
    """
    if userinfo and userinfo.get("sub") != claims["sub"]:
        # OpenID Connect Core 1.0, section 5.3.2: the response then belongs to another user.
        raise SignInFailed("unaccepted", "userinfo_of_another_sub")
    merged = {**userinfo, **claims}
    name = merged.get(settings.name_claim)
    if not isinstance(name, str):
        raise SignInFailed("no_name", "claim_missing")
    if settings.name_claim == "email":
        if not _is_verified(name, claims, userinfo):
            raise SignInFailed("unverified", "email_not_verified")
        name = name.lower()  # One user must not have two names that differ in a capital letter.
    role = settings.highest_role(_groups(merged.get(settings.groups_claim)))
    if role is None:
        has_groups = settings.groups_claim in merged
        raise SignInFailed("no_group", "groups_without_role" if has_groups else "claim_missing")
    return StaffIdentity(name, role)


def _is_verified(email: str, *sources: Mapping[str, Any]) -> bool:
    """Return whether the provider states that it verified this address, and does not state the contrary.

    OpenID Connect Core 1.0, section 5.1: without `email_verified`, the user may have typed the address of another person.
    """
    stated = [each for each in sources if "email_verified" in each]
    if any(each["email_verified"] not in (True, "true") for each in stated):
        return False
    return any(each.get("email", email) == email for each in stated)


def _groups(value: object) -> list[str]:
    """Return the groups of a claim: most providers send a list, some a single group as a string."""
    if isinstance(value, str):
        return [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []

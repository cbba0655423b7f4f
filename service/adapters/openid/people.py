"""Whom the provider's claims are of, by the name that goes into the audit log, and what she may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.adapters.openid.errors import NotSignedIn
from service.adapters.openid.terms import OpenIdConnect, Role


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom the provider knows and who may use the page."""

    name: str
    role: Role


def needs_userinfo(terms: OpenIdConnect, claims: Mapping[str, Any]) -> bool:
    """Whether the ID token leaves something out that the provider may tell by its other way."""
    return terms.groups_claim not in claims or terms.name_claim not in claims


def person_of(terms: OpenIdConnect, claims: Mapping[str, Any], userinfo: Mapping[str, Any]) -> Person:
    """`userinfo` is `{}` where it was not asked for. `NotSignedIn` for who has no name, or no group with a role."""
    if userinfo and userinfo.get("sub") != claims["sub"]:
        # Section 5.3.2: it is then somebody else's.
        raise NotSignedIn("unaccepted", "userinfo_of_another_sub")
    told = {**userinfo, **claims}
    name = told.get(terms.name_claim)
    if not isinstance(name, str):
        raise NotSignedIn("no_name", "claim_missing")
    if terms.name_claim == "email":
        if any(each.get("email_verified") in (False, "false") for each in (claims, userinfo)):
            raise NotSignedIn("unverified", "email_not_verified")
        name = name.lower()  # So that nobody is two people by a capital letter.
    role = terms.role_of(_groups(told.get(terms.groups_claim)))
    if role is None:
        raise NotSignedIn("no_group", "groups_told" if terms.groups_claim in told else "claim_missing")
    return Person(name, role)


def _groups(told: object) -> list[str]:
    """Most providers send a list, some a single group as a text."""
    if isinstance(told, str):
        return [told]
    return [each for each in told if isinstance(each, str)] if isinstance(told, list) else []

"""What sign-in by OpenID Connect is told from outside: the provider, our name there, and which groups may what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from hashlib import blake2b
from typing import Literal
from urllib.parse import urlsplit

Role = Literal["viewer", "granter", "owner"]
ROLES: tuple[Role, ...] = ("viewer", "granter", "owner")
"""From the least to the most."""


@dataclass(frozen=True, slots=True)
class OpenIdConnect:
    """The settings of one provider; see `docs/staff-page.md`."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    roles: tuple[tuple[str, Role], ...]
    """Pairs of a group and its role."""
    public_url: str
    """The origin by which browsers of the staff reach this service."""
    groups_claim: str = "groups"
    name_claim: str = "email"
    scopes: tuple[str, ...] = ()
    """Asked for beside `openid`; none: e-mail, profile, and the groups where the provider has a scope for them."""

    @property
    def host(self) -> str:
        """What people know the provider by."""
        return urlsplit(self.issuer).netloc

    @property
    def here(self) -> bool:
        """Whether the provider is on this machine, where no proxy of the environment stands before it."""
        return self.issuer.startswith("http:")

    @property
    def begin_url(self) -> str:
        return f"{self.public_url}/admin/sign-in/begin"

    @property
    def return_url(self) -> str:
        return f"{self.public_url}/admin/sign-in/return"

    @property
    def mark(self) -> str:
        """Changes with anything here that decides who may what: a session that began under another mark is over."""
        told = repr([each for name, each in zip(self.__slots__, astuple(self), strict=True) if name != "client_secret"])
        return blake2b(told.encode(), digest_size=12).hexdigest()

    def role_of(self, groups: Iterable[str]) -> Role | None:
        """The highest role that one of these groups has."""
        held = set(groups)
        return max((role for group, role in self.roles if group in held), key=ROLES.index, default=None)

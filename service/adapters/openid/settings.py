"""The settings of sign-in by OpenID Connect: the provider, our client there, and the role of each group."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from hashlib import blake2b
from urllib.parse import urlsplit

from service.domain.roles import ADMIN_ROLES, AdminRole


@dataclass(frozen=True, slots=True)
class OpenIdSettings:
    """The settings of one provider; see `docs/how-to/staff-page.md`."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    roles: tuple[tuple[str, AdminRole], ...]
    """Pairs of a group and its role."""
    public_url: str
    """The origin at which browsers of the staff reach this service."""
    groups_claim: str = "groups"
    name_claim: str = "email"
    scopes: tuple[str, ...] = ()
    """Requested besides `openid`. Empty: email, profile, and the groups where the provider has a scope for them."""

    @property
    def host(self) -> str:
        """The provider's host and port: the name that users know it by."""
        return urlsplit(self.issuer).netloc

    @property
    def is_local(self) -> bool:
        """Whether the provider runs on this machine: plain HTTP is allowed, and no proxy is used."""
        return self.issuer.startswith("http:")

    @property
    def begin_url(self) -> str:
        return f"{self.public_url}/admin/sign-in/begin"

    @property
    def redirect_uri(self) -> str:
        return f"{self.public_url}/admin/sign-in/return"

    @property
    def fingerprint(self) -> str:
        """A hash of everything here but the secret: a session that began under another fingerprint has ended."""
        values = zip(self.__slots__, astuple(self), strict=True)
        text = repr([value for name, value in values if name != "client_secret"])
        return blake2b(text.encode(), digest_size=12).hexdigest()

    def highest_role(self, groups: Iterable[str]) -> AdminRole | None:
        """Return the highest role that one of these groups has."""
        held = set(groups)
        return max((role for group, role in self.roles if group in held), key=ADMIN_ROLES.index, default=None)

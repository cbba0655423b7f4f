"""The variables of sign-in by OpenID Connect → `OpenIdSettings`, or `None` where it is not set up."""

from __future__ import annotations

from service.adapters.openid.settings import OpenIdSettings
from service.domain.ids import wrong_id
from service.domain.roles import ADMIN_ROLES, AdminRole
from service.settings.environment import VISIBLE, Environment
from service.settings.policy.mistakes import quoted
from service.settings.policy.text_rules import split_url, wrong_origin

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_NEEDED = (
    "PAYWALL_OIDC_ISSUER",
    "PAYWALL_OIDC_CLIENT_ID",
    "PAYWALL_OIDC_CLIENT_SECRET",
    "PAYWALL_OIDC_ROLES",
    "PAYWALL_PUBLIC_URL",
)
_MORE = ("PAYWALL_OIDC_GROUPS_CLAIM", "PAYWALL_OIDC_NAME_CLAIM", "PAYWALL_OIDC_SCOPES")


def read_openid(read: Environment) -> OpenIdSettings | None:
    """Reads all of them, so that all mistakes are told. Some of the needed ones without the others are one, too."""
    issuer = read.one("PAYWALL_OIDC_ISSUER", _wrong_issuer)
    client_id = read.one("PAYWALL_OIDC_CLIENT_ID", _wrong_client)
    secret = read.one("PAYWALL_OIDC_CLIENT_SECRET", _wrong_client)
    roles = _roles(read)
    public_url = read.one("PAYWALL_PUBLIC_URL", _wrong_public_url)
    groups_claim = read.one("PAYWALL_OIDC_GROUPS_CLAIM", _wrong_claim) or "groups"
    name_claim = read.one("PAYWALL_OIDC_NAME_CLAIM", _wrong_claim) or "email"
    scopes = tuple((read.one("PAYWALL_OIDC_SCOPES", _wrong_scopes) or "").split())
    begun = [name for name in (*_NEEDED[:-1], *_MORE) if read.given(name)]
    lacking = [name for name in _NEEDED if not read.given(name)]
    if begun and lacking:
        read.refuse(begun[0], f"is not enough to sign in by OpenID Connect: set also {', '.join(lacking)}")
    if not (issuer and client_id and secret and roles and public_url):
        return None
    return OpenIdSettings(issuer, client_id, secret, roles, public_url, groups_claim, name_claim, scopes)


def _roles(read: Environment) -> tuple[tuple[str, AdminRole], ...]:
    """Comma-separated `group:role`; a group may contain further colons."""
    good: dict[str, AdminRole] = {}
    for number, entry in read.entries("PAYWALL_OIDC_ROLES"):
        group, _, role = (part.strip() for part in entry.rpartition(":"))
        if not group:
            wrong = "has no group: write group:role" if entry else "is blank: drop the comma, or write group:role there"
        elif role not in ADMIN_ROLES:
            wrong = f"must end with a role, one of :{', :'.join(ADMIN_ROLES)}"
        elif group in good:
            wrong = f"names {quoted(group)} again: leave one of them"
        else:
            good[group] = role
            continue
        read.refuse("PAYWALL_OIDC_ROLES", f"pair {number} {wrong}")
    return tuple(good.items())


def _wrong_issuer(value: str) -> str | None:
    parts = split_url(value)
    if parts is None or "@" in parts.netloc or parts.query or parts.fragment:
        return "must be the provider's address as it writes it itself, such as https://login.example.news"
    return _wrong_scheme(parts.scheme, parts.hostname)


def _wrong_public_url(value: str) -> str | None:
    if wrong := wrong_origin(value):
        return f"{wrong}: it is where browsers of the staff reach this service, such as https://paywall.example.news"
    parts = split_url(value)
    return _wrong_scheme(parts.scheme, parts.hostname) if parts else None


def _wrong_scheme(scheme: str, host: str | None) -> str | None:
    if scheme == "https" or host in _LOOPBACK:
        return None
    return "must begin with https://: http is for a provider and a service on this machine alone"


def _wrong_client(value: str) -> str | None:
    return None if VISIBLE.fullmatch(value) else "has a blank within, or letters beyond ASCII: copy it again"


def _wrong_claim(value: str) -> str | None:
    return f"cannot be a claim's name: it {wrong}" if (wrong := wrong_id(value)) else None


def _wrong_scopes(value: str) -> str | None:
    good = all(VISIBLE.fullmatch(scope) for scope in value.split())
    return None if good else "must be scopes with blanks between them, such as: email profile groups"

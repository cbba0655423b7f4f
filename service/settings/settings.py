"""Read the environment and `paywall.toml` into one frozen `Settings`, or report every mistake in both at once.

The service reads them once, at its start. A blank variable counts as unset. No message repeats a value that may be a
secret, and the `repr` of `Settings` shows none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from service.adapters.openid.settings import OpenIdSettings
from service.adapters.redis.client.address import parse_address
from service.domain.catalogue import Catalogue
from service.domain.ids import wrong_id
from service.domain.roles import ADMIN_ROLES, AdminRole
from service.settings.environment import VISIBLE, Environment, Network, read_traces, read_trusted_proxies
from service.settings.policy_file import read_folder
from service.settings.validation import Mistake, SettingsError, quoted, split_url, wrong_host, wrong_origin

SHORTEST_SECRET, SHORTEST_KEY = 32, 20
"""Characters of an entry of `PAYWALL_SECRETS`, and of an API key or a webhook's signing secret.

A secret can be guessed without a request: the public keys of story passes are derived from it.
"""
MOST_WORKERS = 256
LEAST_STORE_MEMORY = 16
"""MiB: an empty store takes one or two."""

_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,32}")
_LIVE, _TEST = ("sk_live_", "rk_live_"), ("sk_test_", "rk_test_")


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key from the environment. Two may share a name during a rotation; the audit log records the name as the actor."""

    name: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration of the service."""

    config: Path
    data: Path
    prefix: str
    host: str
    port: int
    workers: int
    redis_url: str | None = field(repr=False)
    """`None`: the embedded store, kept in `data`."""
    site_keys: tuple[NamedKey, ...]
    admin_keys: tuple[NamedKey, ...]
    secrets: tuple[str, ...] = field(repr=False)
    """The first one seals, all of them open. Empty: a secret was generated and is kept in the store."""
    stripe_api_key: str | None = field(repr=False)
    stripe_api_base: str | None
    stripe_webhook_secrets: tuple[str, ...] = field(repr=False)
    catalogue: Catalogue = field(repr=False)
    store_memory: int | None = None
    """`maxmemory` of the embedded store in bytes; `None`: a share of the machine's memory."""
    new_visitors_per_minute: int | None = None
    """The most new visitors counted of one address in a minute, in each process; `None`: no limit."""
    trusted_proxies: tuple[Network, ...] = ()
    """The proxies whose `X-Forwarded-For` names the client."""
    openid: OpenIdSettings | None = None
    """`None`: staff sign in by key only."""
    traces: bool = False
    """Whether OpenTelemetry sends traces; `service.adapters.observability.tracing` reads the rest of `OTEL_*`."""
    demo_clock: Path | None = None
    """The file that moves the clock of a `paywall demo`; see `service.adapters.clock`."""


def load_settings(env: Mapping[str, str]) -> Settings:
    """Read the settings. Raises: `SettingsError` with every mistake of the environment and of the file."""
    mistakes: list[Mistake] = []
    read = Environment(env, mistakes)
    config = Path(read.one("PAYWALL_CONFIG") or "config")
    policy = read_folder(config)
    site_keys, admin_keys = _named_keys(read, "PAYWALL_SITE_KEYS"), _named_keys(read, "PAYWALL_ADMIN_KEYS")
    stripe_key, demo_clock = read.one("STRIPE_API_KEY", _wrong_stripe_key), read.one("PAYWALL_DEMO_CLOCK")
    settings = partial(
        Settings,
        config=config,
        data=Path(read.one("PAYWALL_DATA", _wrong_folder) or ".paywall"),
        prefix=read.one("PAYWALL_PREFIX", _wrong_prefix) or "pw",
        host=read.one("PAYWALL_HOST", _wrong_listener) or "127.0.0.1",
        port=read.number("PAYWALL_PORT", 1, 65_535) or 8_000,
        workers=read.number("PAYWALL_WORKERS", 1, MOST_WORKERS) or cores(),
        redis_url=read.one("REDIS_URL", _wrong_address),
        site_keys=site_keys,
        admin_keys=admin_keys,
        secrets=read.several("PAYWALL_SECRETS", _wrong_secret),
        stripe_api_key=stripe_key,
        stripe_api_base=(read.one("STRIPE_API_BASE", _wrong_base) or "").rstrip("/") or None,
        stripe_webhook_secrets=read.several("STRIPE_WEBHOOK_SECRETS", _wrong_signing_secret),
        store_memory=read.size("PAYWALL_STORE_MEMORY", LEAST_STORE_MEMORY),
        new_visitors_per_minute=read.number("PAYWALL_NEW_VISITORS_PER_MINUTE", 1, 1_000_000),
        trusted_proxies=read_trusted_proxies(read),
        openid=read_openid(read),
        traces=read_traces(read),
        demo_clock=Path(demo_clock) if demo_clock else None,
    )
    mistakes += [*_distinct_secrets(site_keys, admin_keys), *_matching_mode(stripe_key, policy.livemode)]
    mistakes += [*_no_live_demo(demo_clock, stripe_key, policy.livemode), *policy.mistakes]
    if mistakes or policy.catalogue is None:
        raise SettingsError(mistakes)
    return settings(catalogue=policy.catalogue)


def cores() -> int:
    """Return how many cores this process may use, often fewer in a container than the machine has."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it, macOS has not.
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(max(count, 1), MOST_WORKERS)


def _named_keys(read: Environment, variable: str) -> tuple[NamedKey, ...]:
    """Read comma-separated `name:secret`; a secret may contain further colons."""
    good = []
    for number, entry in read.entries(variable):
        name, _, secret = (part.strip() for part in entry.partition(":"))
        if message := _wrong_pair(entry, name, secret):
            read.refuse(variable, f"pair {number} {message}")
        else:
            good.append(NamedKey(name, secret))
    return tuple(dict.fromkeys(good))


def _distinct_secrets(site: tuple[NamedKey, ...], admin: tuple[NamedKey, ...]) -> Iterator[Mistake]:
    """Yield secrets that two keys share: a secret must identify one key, and either the website or an admin."""
    seen: dict[str, tuple[str, str]] = {}
    for variable, keys in (("PAYWALL_SITE_KEYS", site), ("PAYWALL_ADMIN_KEYS", admin)):
        for key in keys:
            where, name = seen.setdefault(key.secret, (variable, key.name))
            if (where, name) != (variable, key.name):
                other = quoted(name) if where == variable else f"{quoted(name)} of {where}"
                yield Mistake(
                    variable, f"{quoted(key.name)} has the same secret as {other}: make another for one of them"
                )


def _matching_mode(key: str | None, livemode: bool | None) -> Iterator[Mistake]:
    """Yield a mode that differs: a live key with a policy for tests would charge real cards, the reverse sells nothing."""
    if key and livemode is False and key.startswith(_LIVE):
        fix = "use a test key (sk_test_… or rk_test_…), or set livemode = true"
        yield Mistake("STRIPE_API_KEY", f"is a live key, but paywall.toml says stripe.livemode = false: {fix}")
    if key and livemode is True and key.startswith(_TEST):
        fix = "use a live key (sk_live_… or rk_live_…), or set livemode = false"
        yield Mistake("STRIPE_API_KEY", f"is a test key, but paywall.toml says stripe.livemode = true: {fix}")


def _no_live_demo(demo_clock: str | None, key: str | None, livemode: bool | None) -> Iterator[Mistake]:
    """Yield a movable clock where real money moves: it would move the end of everything that was paid for."""
    if demo_clock and (livemode or (key or "").startswith(_LIVE)):
        yield Mistake("PAYWALL_DEMO_CLOCK", "moves the clock of `paywall demo`: unset it where real money moves")


def _wrong_pair(entry: str, name: str, secret: str) -> str | None:
    if not entry:
        return "is blank: drop the comma, or write name:secret there"
    if not name or not secret or ":" not in entry:
        return f"has no {'secret' if name and ':' in entry else 'name'}: write name:secret"
    if wrong := wrong_id(name):
        return f"has a name that cannot be used: it {wrong}"
    if not VISIBLE.fullmatch(secret):
        return (
            "has a secret that cannot travel in a header: use letters, digits and punctuation of ASCII, without blanks"
        )
    if len(secret) < SHORTEST_KEY:
        return f"has a secret shorter than {SHORTEST_KEY} characters: make one with `openssl rand -hex 32`"
    return None


def _wrong_folder(value: str) -> str | None:
    """Accept a folder that does not exist yet; refuse a file in its place, or in the place of a parent."""
    try:
        there = next(place for place in (Path(value).absolute(), *Path(value).absolute().parents) if place.exists())
        return None if there.is_dir() else f"{there} is not a folder: name a folder"
    except OSError as error:
        return f"cannot be looked at: {error.strerror or 'the system refuses'}"


def _wrong_prefix(value: str) -> str | None:
    # { and } would move keys to other slots of a cluster, * and ? would match the keys of other prefixes.
    return (
        None if _PREFIX.fullmatch(value) else "must be 1 to 32 letters, digits or any of _ . : -, such as pw or ledger"
    )


def _wrong_listener(value: str) -> str | None:
    if "%" in value:
        return "names an interface, which the server cannot listen on: write an address without %"
    if wrong := wrong_host(value.lower()):
        return f"{wrong}: write only that, such as 127.0.0.1, 0.0.0.0 or ::1; the port goes to PAYWALL_PORT"
    return None


def _wrong_address(value: str) -> str | None:
    try:
        parse_address(value)
    except ValueError as error:
        return str(error)
    return None


def _wrong_secret(value: str) -> str | None:
    if len(value) >= SHORTEST_SECRET:
        return None
    return f"is shorter than {SHORTEST_SECRET} characters: make one with `openssl rand -hex 32`"


def _wrong_signing_secret(value: str) -> str | None:
    if not VISIBLE.fullmatch(value):
        return "has a blank within: copy it again from Stripe (whsec_…)"
    if len(value) < SHORTEST_KEY:
        return f"is shorter than {SHORTEST_KEY} characters: copy it again from Stripe (whsec_…)"
    return None


def _wrong_stripe_key(value: str) -> str | None:
    if value.startswith("pk_"):
        return "is a publishable key, which cannot read anything: use a secret or restricted one (sk_… or rk_…)"
    if value.startswith("whsec_"):
        return "is a webhook's signing secret: set it as STRIPE_WEBHOOK_SECRETS"
    return None if VISIBLE.fullmatch(value) else "has a blank within: copy it again from Stripe (sk_… or rk_…)"


def _wrong_base(value: str) -> str | None:
    parts = split_url(value)
    if parts is None or "@" in parts.netloc or parts.query or parts.fragment:
        return "must be an http:// or https:// address such as http://127.0.0.1:12111, or unset for Stripe itself"
    return None


_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PUBLIC_URL = "PAYWALL_PUBLIC_URL"
_REQUIRED = ("PAYWALL_OIDC_ISSUER", "PAYWALL_OIDC_CLIENT_ID", "PAYWALL_OIDC_CLIENT_SECRET", "PAYWALL_OIDC_ROLES")
"""They need the public URL too, which alone sets nothing up."""
_OPTIONAL = ("PAYWALL_OIDC_GROUPS_CLAIM", "PAYWALL_OIDC_NAME_CLAIM", "PAYWALL_OIDC_SCOPES")


def read_openid(read: Environment) -> OpenIdSettings | None:
    """Read the settings of sign-in by OpenID Connect; `None` where it is not set up, or not completely."""
    issuer = read.one("PAYWALL_OIDC_ISSUER", _wrong_issuer)
    client_id = read.one("PAYWALL_OIDC_CLIENT_ID", _wrong_client)
    secret = read.one("PAYWALL_OIDC_CLIENT_SECRET", _wrong_client)
    roles = _roles(read)
    public_url = read.one(_PUBLIC_URL, _wrong_public_url)
    groups_claim = read.one("PAYWALL_OIDC_GROUPS_CLAIM", _wrong_claim) or "groups"
    name_claim = read.one("PAYWALL_OIDC_NAME_CLAIM", _wrong_claim) or "email"
    scopes = tuple((read.one("PAYWALL_OIDC_SCOPES", _wrong_scopes) or "").split())
    given = [name for name in (*_REQUIRED, *_OPTIONAL) if read.given(name)]
    missing = [name for name in (*_REQUIRED, _PUBLIC_URL) if not read.given(name)]
    if given and missing:
        read.refuse(given[0], f"is not enough to sign in by OpenID Connect: set also {', '.join(missing)}")
    if not (issuer and client_id and secret and roles and public_url):
        return None
    return OpenIdSettings(issuer, client_id, secret, roles, public_url, groups_claim, name_claim, scopes)


def _roles(read: Environment) -> tuple[tuple[str, AdminRole], ...]:
    """Read comma-separated `group:role`; a group may contain further colons."""
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

"""The environment and `paywall.toml` → one frozen `Settings`, or every mistake in both, at once.

Read once, at start. A blank variable counts as unset. No message repeats a value that may be a secret, and the
`repr` of `Settings` shows none.
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
from service.settings.environment import VISIBLE, Environment
from service.settings.openid_settings import read_openid
from service.settings.policy.mistakes import Mistake, SettingsError, quoted
from service.settings.policy.text_rules import split_url, wrong_host
from service.settings.policy_file import read_folder

__all__ = ["Mistake", "NamedKey", "Settings", "SettingsError", "load_settings"]

SHORTEST_SECRET = 8
"""Characters of an entry of `PAYWALL_SECRETS`; 32 random ones are advised."""
MOST_WORKERS = 256

_PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,32}")
_LIVE, _TEST = ("sk_live_", "rk_live_"), ("sk_test_", "rk_test_")


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key of the environment. Two may share a name while a key is rotated; the name is the actor in the audit log."""

    name: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the service is told from outside."""

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
    """The first seals, all open. Empty: the store keeps one that was made once."""
    stripe_api_key: str | None = field(repr=False)
    stripe_api_base: str | None
    stripe_webhook_secrets: tuple[str, ...] = field(repr=False)
    catalogue: Catalogue = field(repr=False)
    openid: OpenIdSettings | None = None
    """`None`: staff sign in by key alone."""
    demo_clock: Path | None = None
    """The time machine's file of a `paywall demo`; see `service.adapters.clock`."""


def load_settings(env: Mapping[str, str]) -> Settings:
    """Raises `SettingsError` with every mistake of the environment and of the file."""
    mistakes: list[Mistake] = []
    read = Environment(env, mistakes)
    config = Path(read.one("PAYWALL_CONFIG") or "config")
    policy = read_folder(config)
    site_keys, admin_keys = _keys(read, "PAYWALL_SITE_KEYS"), _keys(read, "PAYWALL_ADMIN_KEYS")
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
        openid=read_openid(read),
        demo_clock=Path(demo_clock) if demo_clock else None,
    )
    mistakes += [*_told_apart(site_keys, admin_keys), *_one_mode(stripe_key, policy.livemode)]
    mistakes += [*_no_real_money(demo_clock, stripe_key, policy.livemode), *policy.mistakes]
    if mistakes or policy.catalogue is None:
        raise SettingsError(mistakes)
    return settings(catalogue=policy.catalogue)


def cores() -> int:
    """The cores that this process may use, which in a container are often fewer than the machine's."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it, macOS has not.
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(max(count, 1), MOST_WORKERS)


def _keys(read: Environment, variable: str) -> tuple[NamedKey, ...]:
    """Comma-separated `name:secret`; a secret may contain further colons."""
    good = []
    for number, entry in read.entries(variable):
        name, _, secret = (part.strip() for part in entry.partition(":"))
        if message := _wrong_pair(entry, name, secret):
            read.refuse(variable, f"pair {number} {message}")
        else:
            good.append(NamedKey(name, secret))
    return tuple(dict.fromkeys(good))


def _told_apart(site: tuple[NamedKey, ...], admin: tuple[NamedKey, ...]) -> Iterator[Mistake]:
    """One secret must say one thing: who it is, and whether it is the website or an admin."""
    seen: dict[str, tuple[str, str]] = {}
    for variable, keys in (("PAYWALL_SITE_KEYS", site), ("PAYWALL_ADMIN_KEYS", admin)):
        for key in keys:
            where, name = seen.setdefault(key.secret, (variable, key.name))
            if (where, name) != (variable, key.name):
                other = quoted(name) if where == variable else f"{quoted(name)} of {where}"
                yield Mistake(
                    variable, f"{quoted(key.name)} has the same secret as {other}: make another for one of them"
                )


def _one_mode(key: str | None, livemode: bool | None) -> Iterator[Mistake]:
    """A live key beside a policy for tests would charge real cards, the reverse would sell nothing."""
    if key and livemode is False and key.startswith(_LIVE):
        mend = "use a test key (sk_test_… or rk_test_…), or set livemode = true"
        yield Mistake("STRIPE_API_KEY", f"is a live key, but paywall.toml says stripe.livemode = false: {mend}")
    if key and livemode is True and key.startswith(_TEST):
        mend = "use a live key (sk_live_… or rk_live_…), or set livemode = false"
        yield Mistake("STRIPE_API_KEY", f"is a test key, but paywall.toml says stripe.livemode = true: {mend}")


def _no_real_money(demo_clock: str | None, key: str | None, livemode: bool | None) -> Iterator[Mistake]:
    """Whoever moves the clock moves the end of everything that was paid for."""
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
    return None


def _wrong_folder(value: str) -> str | None:
    """A folder may still have to be made; a file in its place, or in that of one above it, is refused."""
    try:
        there = next(place for place in (Path(value).absolute(), *Path(value).absolute().parents) if place.exists())
        return None if there.is_dir() else f"{there} is not a folder: name a folder"
    except OSError as error:
        return f"cannot be looked at: {error.strerror or 'the system refuses'}"


def _wrong_prefix(value: str) -> str | None:
    # { and } would steer keys to other slots of a cluster, * and ? would match other titles' keys.
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
    return None if VISIBLE.fullmatch(value) else "has a blank within: copy it again from Stripe (whsec_…)"


def _wrong_stripe_key(value: str) -> str | None:
    if value.startswith("pk_"):
        return "is a publishable key, which cannot read anything: use a secret or restricted one (sk_… or rk_…)"
    if value.startswith("whsec_"):
        return "is a webhook's signing secret: that goes to STRIPE_WEBHOOK_SECRETS"
    return None if VISIBLE.fullmatch(value) else "has a blank within: copy it again from Stripe (sk_… or rk_…)"


def _wrong_base(value: str) -> str | None:
    parts = split_url(value)
    if parts is None or "@" in parts.netloc or parts.query or parts.fragment:
        return "must be an http:// or https:// address such as http://127.0.0.1:12111, or unset for Stripe itself"
    return None

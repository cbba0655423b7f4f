"""What `paywall doctor` looks at: the store's set-up and what could be lost, the secrets, the keys, and Stripe.

Each finding is one line for the operator: what is, whether it needs a hand, and what to do.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from service.adapters.openid.errors import SignInFailed
from service.adapters.openid.settings import OpenIdSettings
from service.adapters.openid.sign_in import SignIn
from service.bootstrap import Service
from service.domain.errors import StoreUnavailable, StripeFailure
from service.settings.settings import Settings
from service.use_cases.operations import stripe_findings as doctor
from service.use_cases.operations.stripe_findings import Finding, Level

SHORT_KEY = 20
OLDEST = {"redis": (7, 2), "valkey": (7, 2)}


def findings(service: Service) -> list[Finding]:
    """Everything, in a fixed order. Never raises for a store or a Stripe that is away: that is a finding."""
    found = [*_settings(service.settings), *_openid(service.settings.openid), *_store(service)]
    return found + _stripe(service)


def _settings(settings: Settings) -> Iterator[Finding]:
    if not settings.secrets:
        message = (
            "PAYWALL_SECRETS is not set: a secret was made once and is kept in the store. Set it, so that a backup can "
            "be restored, and the audit log holds against whoever can write to the store"
        )
        yield Finding("note", "secrets", message)
    for name, keys in (("PAYWALL_SITE_KEYS", settings.site_keys), ("PAYWALL_ADMIN_KEYS", settings.admin_keys)):
        if not keys:
            yield Finding("note", "keys", f"{name} is not set: those routes refuse everybody")
        short = sorted({key.name for key in keys if len(key.secret) < SHORT_KEY})
        if short:
            yield Finding(
                "note", "keys", f"{name}: short secrets ({', '.join(short)}); `openssl rand -hex 24` makes one"
            )


def _openid(openid: OpenIdSettings | None) -> Iterator[Finding]:
    if openid is None:
        return
    try:
        SignIn(openid, time.time).check_provider()
    except SignInFailed as error:
        mend = (
            f"it calls itself otherwise than PAYWALL_OIDC_ISSUER does ({openid.issuer}); a slash at the end counts"
            if error.reason == "discovery_of_another_issuer"
            else f"{openid.issuer} cannot be asked, or its answer cannot be used ({error.reason})"
        )
        yield Finding("wrong", "sign-in", f"the OpenID provider: {mend}. Staff sign in by key meanwhile")
        return
    yield Finding("good", "sign-in", f"{openid.issuer} answers; it has to take people back to {openid.redirect_uri}")


def _store(service: Service) -> Iterator[Finding]:
    try:
        info = service.store.link.info()
    except StoreUnavailable as error:
        yield Finding("wrong", "store", f"cannot be reached or written now ({error.cause})")
        return
    server, version = str(info["server"]), str(info["version"])
    yield Finding("good", "store", f"{server} {version}, {info['mode']}, {info['masters']} master(s)")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < OLDEST.get(server, (7, 2)):
        yield Finding("wrong", "store", f"{server} {version} is older than 7.2, the oldest that is supported")
    yield from _durability(info)


def _durability(info: dict[str, object]) -> Iterator[Finding]:
    if "appendonly" not in info:
        yield Finding("note", "durability", "the store does not let its set-up be read; see docs/operations.md")
        return
    if info.get("appendonly") != "yes":
        message = "appendonly is off: a restart of the store loses grants, audit entries and counted stories"
        yield Finding("wrong", "durability", f"{message}. Set appendonly yes")
    elif info.get("appendfsync") != "always":
        message = f"appendfsync is {info.get('appendfsync')}: a crash of the machine loses up to the last second"
        yield Finding("note", "durability", f"{message} of grants and audit entries. Set appendfsync always")
    else:
        yield Finding("good", "durability", "appendonly with appendfsync always: a reply means that it is on disk")
    if info.get("maxmemory-policy") not in (None, "noeviction"):
        message = f"maxmemory-policy is {info['maxmemory-policy']}: a full store forgets readers"
        yield Finding("wrong", "durability", f"{message}. Set noeviction")
    if int(str(info.get("replicas") or 0)) and str(info.get("min-replicas-to-write", "0")) == "0":
        message = "min-replicas-to-write is 0: a failover can lose what was acknowledged just before"
        yield Finding("note", "durability", f"{message}. Set it to 1 or more")


def _stripe(service: Service) -> list[Finding]:
    gateway, catalogue = service.gateway, service.settings.catalogue
    found = []
    if not service.settings.stripe_webhook_secrets:
        level: Level = "note" if gateway is None else "wrong"
        found.append(Finding(level, "webhook", "STRIPE_WEBHOOK_SECRETS is not set: every webhook is refused"))
    if gateway is None:
        without = Finding("note", "stripe", "STRIPE_API_KEY is not set: nothing is read from Stripe or sold")
        return [*found, without, doctor.last_came(_last_event(service))]
    words = [word for plan in catalogue.plans.values() for word in plan.prices]
    try:
        seen = doctor.Observed(
            account=gateway.account(service.clock),
            endpoints=gateway.webhook_endpoints(),
            configured=gateway.prices(words),
            on_sale=gateway.active_prices(),
            last_event=_last_event(service),
            newest_at_stripe=gateway.newest_event(),
        )
    except StripeFailure as error:
        away = Finding("wrong", "stripe", f"Stripe cannot be asked ({error.why})")
        return [*found, away, doctor.last_came(_last_event(service))]
    return found + doctor.findings(seen, catalogue)


def _last_event(service: Service) -> int | None:
    try:
        newest = service.engine.ledger.newest_at()
    except StoreUnavailable:
        return None
    return None if newest is None else int(newest)

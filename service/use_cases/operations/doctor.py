"""Check the settings, the sign-in provider, the store and Stripe: what `paywall doctor` prints.

Each finding is one line for the operator: the state, whether it needs a fix, and which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.adapters.openid.settings import OpenIdSettings
from service.adapters.redis.client.memory import FILLING_FROM, MemoryUse
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.erased_readers import ErasedReaders
from service.adapters.redis.stripe_objects.ledger import Ledger
from service.adapters.redis.stripe_objects.objects import Objects
from service.adapters.stripe.events import HANDLED_TYPES
from service.adapters.stripe.webhook import TOLERANCE
from service.domain.catalogue import Catalogue
from service.domain.errors import StoreUnavailable, StripeFailure
from service.domain.ids import escape_invisible
from service.domain.prices import PriceTag
from service.domain.times import utc
from service.settings.policy_lints import lint
from service.settings.settings import Settings
from service.use_cases.lists.index_updates import IndexComparison
from service.use_cases.lists.reader_lists import ReaderLists
from service.use_cases.operations.findings import Finding, Level
from service.use_cases.operations.store_advisories import known_vulnerabilities, version_tuple
from service.use_cases.providers.snapshots import Snapshots

if TYPE_CHECKING:
    from service.adapters.stripe.gateway import Account, Gateway, UnnamedSubscription, WebhookEndpoint

OLDEST_STORE = (7, 2)
"""The oldest version of Redis and of Valkey that the service supports."""
WEBHOOK_PATH = "/v1/stripe/webhook"
CLOCK_NOTED = 10
CLOCK_WRONG = 60
"""Seconds that this machine's clock may be off."""
MOST_SUBSCRIPTIONS = 1_000
"""The newest subscriptions at Stripe of which the doctor lists those that name no reader."""
SAMPLE = 200
"""Readers whose records are compared with the index."""
LATE = 15 * 60
"""Seconds that the last event received may lie behind the newest one at Stripe."""


@dataclass(frozen=True, slots=True)
class StripeState:
    """What Stripe and the ledger of events reported. `last_event` and `newest_at_stripe` are `created`, in epoch seconds.

    `unnamed` are subscriptions whose metadata names no reader, and which belong to nobody here either.
    """

    account: Account
    endpoints: Sequence[WebhookEndpoint]
    configured: Mapping[str, PriceTag]
    """Prices by their name in the configuration; those that Stripe does not know are missing."""
    on_sale: Sequence[PriceTag]
    last_event: int | None
    newest_at_stripe: int | None
    unnamed: Sequence[UnnamedSubscription] = ()


@dataclass(frozen=True)
class Doctor:
    """Checks one set-up. `gateway` is `None` without a Stripe key."""

    settings: Settings
    store: Store
    ledger: Ledger
    objects: Objects
    gateway: Gateway | None
    clock: Callable[[], float]
    erased: ErasedReaders
    lists: ReaderLists
    snapshots: Snapshots

    def findings(self) -> list[Finding]:
        """Return all findings in a fixed order. A store or a Stripe that is unavailable is a finding, not an error."""
        return [
            *settings_findings(self.settings),
            *policy_findings(self.settings.catalogue),
            *openid_findings(self.settings.openid, self.clock),
            *self._store_findings(),
            *self._stripe_findings(),
        ]

    def _store_findings(self) -> Iterator[Finding]:
        try:
            info, lost_keys = self.store.link.info(), self.erased.count_lost_keys()
            providers = list(self._provider_findings(self.clock()))
            index = self.lists.updates.compare_sample(SAMPLE) if self.lists.updates.is_built() else None
        except StoreUnavailable as error:
            yield Finding("wrong", "store", f"it cannot be reached or written now ({error})")
            return
        server, version = str(info["server"]), str(info["version"])
        yield Finding("good", "store", f"{server} {version}, {info['mode']}, {info['masters']} master(s)")
        yield from version_findings(server, version)
        if self.settings.redis_url is None and self.settings.catalogue.livemode:
            message = "the embedded store is for trying and small sites, and stripe.livemode is true"
            yield Finding(
                "note", "store", f"{message}. Set REDIS_URL to a store of your own: see docs/how-to/operations.md"
            )
        yield from durability_findings(info)
        setting = "PAYWALL_STORE_MEMORY" if self.settings.redis_url is None else "maxmemory"
        yield memory_finding(self.store.link.memory(), setting)
        yield index_finding(index)
        yield from providers
        if lost_keys:
            message = "no secret opens the key by which some erased readers were marked, so Stripe can bring them back"
            yield Finding("wrong", "secrets", f"{message}. Put the former secret behind the others in PAYWALL_SECRETS")

    def _provider_findings(self, now: float) -> Iterator[Finding]:
        for provider, is_wrong, text in self.snapshots.list_reports(now):
            yield Finding("wrong" if is_wrong else "good", f"providers.{provider.id}", text)
        for name, running in self.snapshots.count_orphans(now).items():
            message = (
                f"paywall.toml no longer has this provider, and its subscriptions still give access ({running} running)"
            )
            fix = f"Add [providers.{name}] again. To end them, then send a snapshot without rows, with --force"
            yield Finding("wrong", f"providers.{name}", f"{message}. {fix}")

    def _stripe_findings(self) -> list[Finding]:
        if self.gateway is None:
            return [last_received(self._last_event())]
        catalogue = self.settings.catalogue
        prices = [name for plan in catalogue.plans.values() for name in plan.prices]
        try:
            state = StripeState(
                account=self.gateway.read_account(self.clock),
                endpoints=self.gateway.list_webhook_endpoints(),
                configured=self.gateway.find_prices(prices),
                on_sale=self.gateway.list_active_prices(),
                last_event=self._last_event(),
                newest_at_stripe=self.gateway.find_newest_event(),
                unnamed=self._without_owner(self.gateway.list_unnamed_subscriptions(MOST_SUBSCRIPTIONS)),
            )
        except StripeFailure as error:
            unavailable = Finding("wrong", "stripe", f"the request to Stripe failed ({error.why})")
            return [unavailable, last_received(self._last_event())]
        return stripe_findings(state, catalogue)

    def _without_owner(self, found: Sequence[UnnamedSubscription]) -> list[UnnamedSubscription]:
        """Return those that belong to nobody here: an admin can have linked one, or a session can have named its reader."""
        try:
            stored = {obj.ref.id: obj for obj in self.objects.load_all([f"subscription:{one.id}" for one in found])}
        except StoreUnavailable:
            stored = {}
        return [one for one in found if one.id not in stored or stored[one.id].owner.reader is None]

    def _last_event(self) -> int | None:
        try:
            newest = self.ledger.newest_at()
        except StoreUnavailable:
            return None
        return None if newest is None else int(newest)


def settings_findings(settings: Settings) -> Iterator[Finding]:
    """Yield what the environment lacks."""
    if not settings.secrets:
        message = (
            "PAYWALL_SECRETS is not set: a secret was generated and is kept in the store. Set it, so that you can restore "
            "a backup, and so that whoever can write to the store cannot forge the audit log"
        )
        yield Finding("note", "secrets", message)
    for name, keys in (("PAYWALL_SITE_KEYS", settings.site_keys), ("PAYWALL_ADMIN_KEYS", settings.admin_keys)):
        if not keys:
            yield Finding("note", "keys", f"{name} is not set: its routes refuse every request")
    if not settings.stripe_webhook_secrets:
        level: Level = "note" if settings.stripe_api_key is None else "wrong"
        yield Finding(level, "webhook", "STRIPE_WEBHOOK_SECRETS is not set: every webhook is refused")
    if settings.stripe_api_key is None:
        yield Finding("note", "stripe", "STRIPE_API_KEY is not set: nothing is read from Stripe or sold")


def policy_findings(catalogue: Catalogue) -> Iterator[Finding]:
    """Yield what `paywall.toml` says that is probably not meant."""
    if warnings := lint(catalogue):
        message = f"{len(warnings)} warning(s), such as {warnings[0]}. `paywall check-config` lists all"
        yield Finding("note", "paywall.toml", message)


def openid_findings(openid: OpenIdSettings | None, clock: Callable[[], float]) -> Iterator[Finding]:
    """Yield whether the provider's metadata can be read and names the configured issuer."""
    if openid is None:
        return
    from service.adapters.openid.attempt import SignInFailed
    from service.adapters.openid.provider import OpenIdProvider
    from service.adapters.openid.sign_in import SignIn

    try:
        SignIn(openid, clock, OpenIdProvider(openid)).check_provider()
    except SignInFailed as error:
        cause = (
            f"its issuer differs from PAYWALL_OIDC_ISSUER ({openid.issuer}); a trailing slash counts"
            if error.reason == "discovery_of_another_issuer"
            else f"{openid.issuer} does not answer, or its answer is not usable ({error.reason})"
        )
        yield Finding("wrong", "sign-in", f"the OpenID provider: {cause}. Staff can sign in by key")
        return
    yield Finding("good", "sign-in", f"{openid.issuer} answers; it must redirect to {openid.redirect_uri}")


def version_findings(server: str, version: str) -> Iterator[Finding]:
    """Yield what is wrong with the store's release."""
    if version_tuple(version)[:2] < OLDEST_STORE:
        yield Finding("wrong", "store", f"{server} {version} is older than 7.2, the oldest supported version")
    if known := known_vulnerabilities(server, version):
        message = f"{server} {version} has known vulnerabilities ({', '.join(known)})"
        fix = "Upgrade it, unless your distribution has backported the fixes"
        yield Finding("note", "store", f"{message}. {fix}")


def durability_findings(info: Mapping[str, object]) -> Iterator[Finding]:
    """Yield what the store could lose, by its own settings (`Link.info`)."""
    if "appendonly" not in info:
        message = "the store does not allow reading its settings; see docs/how-to/operations.md"
        yield Finding("note", "durability", message)
        return
    if info.get("appendonly") != "yes":
        message = "appendonly is off: a restart of the store loses grants, audit entries and counted stories"
        yield Finding("wrong", "durability", f"{message}. Set appendonly yes")
    elif info.get("appendfsync") != "always":
        message = f"appendfsync is {info.get('appendfsync')}: a crash of the machine loses up to the last second"
        yield Finding("note", "durability", f"{message} of grants and audit entries. Set appendfsync always")
    else:
        yield Finding(
            "good", "durability", "appendonly with appendfsync always: the store replies once data is on disk"
        )
    if info.get("maxmemory-policy") not in (None, "noeviction"):
        message = f"maxmemory-policy is {info['maxmemory-policy']}: a full store drops readers"
        yield Finding("wrong", "durability", f"{message}. Set noeviction")
    if int(str(info.get("replicas") or 0)) and str(info.get("min-replicas-to-write", "0")) == "0":
        message = "min-replicas-to-write is 0: a failover can lose the writes acknowledged just before it"
        yield Finding("note", "durability", f"{message}. Set it to 1 or more")


def index_finding(found: IndexComparison | None) -> Finding:
    """Return whether the index of readers agrees with a sample of their records; `None`: it is not built."""
    if found is None:
        return Finding("note", "index", "the lists of readers and grants are not built yet. Start serve or the worker")
    if found.differing:
        message = f"{len(found.differing)} of {found.compared} readers differ from the lists of readers and grants"
        return Finding("wrong", "index", f"{message}. Run paywall reindex")
    if found.unnamed:
        message = f"{found.unnamed} readers are in no list: an earlier release imported their grants without their IDs"
        return Finding("note", "index", f"{message}. Import their file again, then run paywall reindex")
    message = f"the lists of readers and grants agree with the records of {found.compared} readers"
    return Finding("good", "index", message)


def memory_finding(memory: MemoryUse, setting: str) -> Finding:
    """Return how full the store is; `setting` is what limits its memory."""
    if not memory.limit:
        message = "the store has no maxmemory, or does not report it: made-up visitors can fill the machine's memory"
        return Finding("note", "memory", f"{message}. Set maxmemory")
    used = f"{memory.share:.0%} of {memory.limit / 2**20:,.0f} MB is in use"
    if memory.is_filling:
        return Finding("wrong", "memory", f"{used}, so new visitors are not counted. Raise {setting}")
    return Finding("good", "memory", f"{used}; new visitors are counted below {FILLING_FROM:.0%}")


def stripe_findings(state: StripeState, catalogue: Catalogue) -> list[Finding]:
    """Return what Stripe reported against the configuration, in a fixed order."""
    return [
        Finding("good", "account", f"the key belongs to {state.account.name or state.account.id}"),
        *_endpoints(state.endpoints, catalogue),
        *_configured_prices(state.configured, catalogue),
        *_products(state.on_sale, catalogue),
        *_unassigned_prices(state.on_sale, catalogue),
        _unnamed(state.unnamed, catalogue),
        _clock(state.account.clock_ahead),
        _last_event(state.last_event, state.newest_at_stripe),
    ]


def _endpoints(endpoints: Sequence[WebhookEndpoint], catalogue: Catalogue) -> Iterator[Finding]:
    ours = [endpoint for endpoint in endpoints if endpoint.url.split("?")[0].rstrip("/").endswith(WEBHOOK_PATH)]
    if not ours:
        others = f"; registered are {', '.join(endpoint.url for endpoint in endpoints)}" if endpoints else ""
        fix = f"add one for https://…{WEBHOOK_PATH} in Stripe's Dashboard (Developers, Webhooks)"
        yield Finding("wrong", "endpoint", f"no webhook endpoint leads to {WEBHOOK_PATH}{others}: {fix}")
    for endpoint in ours:
        yield from _endpoint(endpoint, catalogue)


def _endpoint(endpoint: WebhookEndpoint, catalogue: Catalogue) -> Iterator[Finding]:
    url = endpoint.url
    if not endpoint.enabled:
        fix = "enable it, then the service catches up on what it missed"
        yield Finding("wrong", "endpoint", f"{url} is disabled at Stripe: {fix}")
    if endpoint.livemode != catalogue.livemode:
        mode = "live" if endpoint.livemode else "test"
        yield Finding("wrong", "mode", f"{url} is of {mode} mode, stripe.livemode is {str(catalogue.livemode).lower()}")
    missing = [] if "*" in endpoint.types else [name for name in HANDLED_TYPES if name not in endpoint.types]
    if missing:
        yield Finding("wrong", "types", f"{url} does not receive {', '.join(missing)}: add these event types")
    else:
        yield Finding("good", "types", f"{url} receives every event type that matters")
    from service.adapters.stripe.transport import API_VERSION

    version = endpoint.api_version or "the account's default"
    same = endpoint.api_version == API_VERSION
    note = "" if same else f"; the service understands it, and requests {API_VERSION} itself"
    yield Finding("good" if same else "note", "version", f"{url} receives events of API version {version}{note}")


def _configured_prices(tags: Mapping[str, PriceTag], catalogue: Catalogue) -> Iterator[Finding]:
    for plan in catalogue.plans.values():
        for name in plan.prices:
            place, tag = f"plans.{plan.id}.prices", tags.get(name)
            if tag is None:
                yield Finding("wrong", "price", f"{place}: Stripe knows no price {name}")
            elif not tag.active:
                yield Finding("note", "price", f"{place}: {name} is archived; current subscribers keep it")
            elif not tag.recurring and not plan.pass_hours:
                yield Finding("wrong", "price", f"{place}: {name} is paid once, so the plan needs pass_hours")
            else:
                yield Finding("good", "price", f"{place}: {name} is on sale")


def _products(tags: Sequence[PriceTag], catalogue: Catalogue) -> Iterator[Finding]:
    """Yield products without a price on sale: archived on purpose, or misspelt."""
    sold = {tag.product for tag in tags}
    for plan in catalogue.plans.values():
        for product in plan.products:
            if product not in sold:
                yield Finding("note", "price", f"plans.{plan.id}.products: Stripe has no price on sale of {product}")


def _unassigned_prices(tags: Sequence[PriceTag], catalogue: Catalogue) -> Iterator[Finding]:
    """Yield prices of no plan: other goods of the same account, but often a price that was forgotten."""
    for tag in tags:
        if catalogue.plan_for(tag.id, tag.lookup_key, tag.product) is None:
            yield Finding("note", "price", f"{tag.id} is on sale at Stripe and belongs to no plan: it opens nothing")


def _unnamed(found: Sequence[UnnamedSubscription], catalogue: Catalogue) -> Finding:
    """Return which subscriptions name no reader, and which metadata keys they have instead."""
    wanted = " or ".join(catalogue.reader_metadata)
    if not found:
        return Finding("good", "metadata", f"no subscription at Stripe lacks a reader, by {wanted} or a link")
    examples = ", ".join(one.id for one in found[:5]) + (" and others" if len(found) > 5 else "")
    counts = Counter(key for one in found for key in one.keys).most_common(10)
    keys = ", ".join(f"{escape_invisible(key)} ({count})" for key, count in counts) or "no keys at all"
    message = f"{len(found)} of the newest {MOST_SUBSCRIPTIONS:,} subscriptions at Stripe name no reader by {wanted}"
    fix = "If one of these keys holds your reader IDs, add it to stripe.reader_metadata. Otherwise link them"
    return Finding("note", "metadata", f"{message}: {examples}. Their metadata has {keys}. {fix}")


def _clock(ahead: float | None) -> Finding:
    if ahead is None:
        return Finding("note", "clock", "Stripe's answer has no time to compare this machine's clock with")
    off = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} Stripe's"
    if abs(ahead) < CLOCK_NOTED:
        return Finding("good", "clock", "this machine's clock agrees with Stripe's")
    if abs(ahead) < CLOCK_WRONG:
        return Finding("note", "clock", f"this machine's clock is {off}")
    advice = f"correct it; from {TOLERANCE} s ahead on, webhooks are refused"
    return Finding("wrong", "clock", f"this machine's clock is {off}: {advice}")


def _last_event(last: int | None, newest: int | None) -> Finding:
    if newest is None:
        none = Finding("good", "events", "Stripe has no event that concerns this service")
        return none if last is None else last_received(last)
    if last is None:
        check = "check that the endpoint's address is reachable from outside, and its secret in STRIPE_WEBHOOK_SECRETS"
        return Finding("wrong", "events", f"Stripe has events since {utc(newest)}, the service received none: {check}")
    if newest - last > LATE:
        message = f"the last event received is of {utc(last)}, Stripe's newest of {utc(newest)}"
        return Finding("wrong", "events", message)
    return last_received(last)


def last_received(last: int | None) -> Finding:
    """Return the finding about the last event received, where Stripe cannot report its newest."""
    if last is None:
        return Finding("note", "events", "no event has been received yet")
    return Finding("good", "events", f"the last event received is of {utc(last)}")

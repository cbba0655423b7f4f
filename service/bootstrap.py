"""The composition root: settings → adapters → use cases → one frozen `Service`.

Nothing connects and no thread starts before `Service.start`. The entrypoints take what they need from the `Service`:
`service.entrypoints.http.wsgi` serves it, the command line calls it, `Service.worker` runs beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING

from service.adapters.clock import Clock, clock_of
from service.adapters.invitation_tokens import InvitationTokens
from service.adapters.observability import logs
from service.adapters.observability.metrics import Metrics
from service.adapters.pass_tokens import PassTokens
from service.adapters.read_progress import ReadProgress
from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.audit.audit import AuditedHash, AuditWriter
from service.adapters.redis.audit.chain import AuditLog
from service.adapters.redis.audit.redaction import AuditErasure
from service.adapters.redis.audit.verification import AuditVerifier
from service.adapters.redis.client.address import parse_address
from service.adapters.redis.client.keys import Keys
from service.adapters.redis.client.link import Link
from service.adapters.redis.client.store import Store
from service.adapters.redis.client.traced_link import TracedLink
from service.adapters.redis.grants.grant_import_rows import GrantImportWriter
from service.adapters.redis.grants.grants import GrantEndIndex, Grants
from service.adapters.redis.imports.import_store import ImportStore
from service.adapters.redis.imports.source_writer import ImportSourceWriter
from service.adapters.redis.providers.provider_sources import ProviderSources
from service.adapters.redis.reader_index.reader_index import ReaderIndex
from service.adapters.redis.reader_lifecycle.erasure import Eraser
from service.adapters.redis.reader_lifecycle.merges import Merges
from service.adapters.redis.readers.customer_rows import CustomerRows
from service.adapters.redis.readers.erased_readers import ERASURE, ErasedReaders
from service.adapters.redis.readers.history import HistoryRetention, ReaderHistory
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.reporting.alert_flags import AlertStore
from service.adapters.redis.reporting.comparison_samples import ComparisonSamples
from service.adapters.redis.reporting.usage_counts import UsageStore
from service.adapters.redis.service_state.coordination import LEADS_FOR, ChangeCounter, LeaderElection
from service.adapters.redis.service_state.decision_records import DecisionOverflow, PolicyStore
from service.adapters.redis.service_state.secrets import Secrets
from service.adapters.redis.service_state.titles import TitleRegistry
from service.adapters.redis.staff.admin_keys import AdminKeys
from service.adapters.redis.staff.approvals import Approvals
from service.adapters.redis.story_passes.passes import GiftAllowances, Passes
from service.adapters.redis.stripe_objects.invitations import Invitations
from service.adapters.redis.stripe_objects.link_imports import LinkImportWriter
from service.settings.settings import Settings
from service.use_cases.access.check import AccessCheck
from service.use_cases.access.decision_ids import VALID_FOR, DecisionIds
from service.use_cases.access.explain import Explainer
from service.use_cases.access.new_visitors import NewVisitors
from service.use_cases.access.policy_revisions import PolicyRevisionTask
from service.use_cases.access.reader_profile import ReaderProfiles
from service.use_cases.access.source_history import SourceHistory
from service.use_cases.access.story_memory import StoryMemory
from service.use_cases.approvals.approval_workflow import ApprovalWorkflow
from service.use_cases.background_tasks import BackgroundTasks, OnChange
from service.use_cases.checkout.checkout import Purchases
from service.use_cases.checkout.price_cache import PriceCache
from service.use_cases.checkout.trials import Trials
from service.use_cases.grants.grant_changes import GrantChanges
from service.use_cases.grants.imports.apply import GrantChunks, RowPlanner
from service.use_cases.grants.imports.grant_change_kind import GrantChangeImports, GrantChangePlanner
from service.use_cases.grants.imports.grant_kind import GrantImports
from service.use_cases.grants.imports.grant_states import GrantStates
from service.use_cases.grants.imports.plan import GrantPlanner
from service.use_cases.imports.bulk_imports import BulkImports
from service.use_cases.imports.kinds import AnyKind
from service.use_cases.imports.pacing import Pace
from service.use_cases.imports.runner import LEASE, ImportRunner
from service.use_cases.imports.staging import CHUNK_SIZE, ImportStaging
from service.use_cases.lists.reader_lists import ReaderLists
from service.use_cases.operations.doctor import Doctor
from service.use_cases.operations.maintenance import Maintenance
from service.use_cases.operations.worker import Worker
from service.use_cases.privacy.erasure import Erasure
from service.use_cases.privacy.export import Export
from service.use_cases.privacy.retention import RetentionTask
from service.use_cases.providers.external_sources import ExternalSources
from service.use_cases.providers.snapshot_kind import ProviderSnapshots
from service.use_cases.providers.snapshots import Snapshots
from service.use_cases.reporting.alerts import Alerts
from service.use_cases.reporting.change_listeners import DeliveryReceiver, ObjectChangeListener, ReaderChangeListener
from service.use_cases.reporting.comparisons import Comparisons
from service.use_cases.reporting.entitlement_counts import EntitlementCounts
from service.use_cases.reporting.state_metrics import StateMetrics
from service.use_cases.reporting.usage_counters import UsageCounters
from service.use_cases.story_passes.passes import ReaderGifts
from service.use_cases.story_passes.public_keys import PublicPassKeys
from service.use_cases.story_passes.validation import PassValidator
from service.use_cases.subscriptions.bulk_fan_out import BulkFanOut
from service.use_cases.subscriptions.event_processor import EventProcessor, untraced
from service.use_cases.subscriptions.full_sync import FullSync
from service.use_cases.subscriptions.link_kind import LinkImports
from service.use_cases.subscriptions.owned_groups import OwnedGroups
from service.use_cases.subscriptions.subscription_admin import SubscriptionAdmin
from service.use_cases.takeover.seat_rows import SeatRows
from service.use_cases.takeover.stripe_reading import StripeReading
from service.use_cases.takeover.takeover import Takeover
from service.use_cases.takeover.takeover_import import TakeoverImports

if TYPE_CHECKING:
    from service.adapters.observability.tracing import Tracing
    from service.adapters.stripe.gateway import Gateway

STORE_TIMEOUT = 0.25
"""Seconds: a shorter time-out would take a slow disk for an outage, readers would notice a longer one."""


@dataclass(frozen=True, kw_only=True)
class Adapters:
    """What the use cases of one process work with: the clock, the records in the store, and Stripe."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    tracing: Tracing | None
    store: Store
    secrets: Secrets
    gateway: Gateway | None
    """`None` without a Stripe key."""
    recent_entitlements: RecentEntitlements

    readers: Readers
    reader_lists: ReaderLists
    erased: ErasedReaders
    grants: Grants
    grant_ends: GrantEndIndex
    passes: Passes
    gift_allowances: GiftAllowances
    audit: AuditWriter
    audit_log: AuditLog
    audit_verifier: AuditVerifier
    audit_erasure: AuditErasure
    admin_keys: AdminKeys
    approvals: Approvals
    provider_sources: ProviderSources
    policies: PolicyStore
    stories: StoryMemory
    titles: TitleRegistry
    prices_changed: ChangeCounter
    usage_counters: UsageCounters
    comparisons: Comparisons
    alert_flags: AlertStore
    trials: Trials


@dataclass(frozen=True, kw_only=True)
class Service(Adapters):
    """The adapters and the use cases of one process."""

    access_check: AccessCheck
    decision_ids: DecisionIds
    profiles: ReaderProfiles
    policy_revisions: PolicyRevisionTask
    explainer: Explainer
    grant_changes: GrantChanges
    approval_workflow: ApprovalWorkflow
    external_sources: ExternalSources
    snapshots: Snapshots
    imports: BulkImports
    takeover: Takeover
    event_processor: EventProcessor
    deliveries: DeliveryReceiver
    subscription_admin: SubscriptionAdmin
    owned_groups: OwnedGroups
    prices: PriceCache
    purchases: Purchases
    pass_tokens: PassTokens
    pass_keys: PublicPassKeys
    gifts: ReaderGifts
    erasure: Erasure
    export: Export
    retention: RetentionTask
    alerts: Alerts
    maintenance: Maintenance
    state_metrics: StateMetrics
    background_tasks: BackgroundTasks
    worker: Worker
    doctor: Doctor

    def start(self) -> None:
        """Derive keys, and start the threads that a web process needs. Call it once a process, after any fork."""
        self.secrets.derive()
        self.store.link.start()
        self.recent_entitlements.start()
        self.prices.start()
        self.policy_revisions.start()
        self.imports.runner.start()
        self.reader_lists.task.start()
        self.stories.start()

    def close(self) -> None:
        """Write what is still to be written, stop the threads and close the connections."""
        self.stories.close()
        self.reader_lists.task.stop()
        self.imports.runner.stop()
        self.policy_revisions.stop(patience=0)
        self.prices.stop(patience=None)
        self.recent_entitlements.close()
        self.usage_counters.flush()
        self.comparisons.close()
        self.store.link.close()
        if self.tracing is not None:
            self.tracing.close()


def build(settings: Settings, store_url: str, tracing: Tracing | None = None) -> Service:
    """Assemble the service around the store at `store_url`; nothing connects yet."""
    metrics, link_class = Metrics(), Link if tracing is None else partial(TracedLink, span=tracing.store_call)
    address, probe, report = (
        parse_address(store_url),
        Keys(settings.prefix).shared("probe"),
        metrics.report_store_change,
    )
    link = link_class(address, timeout=STORE_TIMEOUT, on_change=report, probe_key=probe)
    return assemble(settings, link, clock_of(settings.demo_clock), metrics, tracing)


def assemble(settings: Settings, link: Link, clock: Clock, metrics: Metrics, tracing: Tracing | None = None) -> Service:
    """Assemble the service around a link to its store."""
    return _service(_adapters(settings, clock, metrics, tracing, Store(link, Keys(settings.prefix))))


def _adapters(settings: Settings, clock: Clock, metrics: Metrics, tracing: Tracing | None, store: Store) -> Adapters:
    catalogue, secrets, audit_log = settings.catalogue, Secrets(store, settings.secrets), AuditLog(store)
    audit = AuditWriter(
        store, partial(secrets.signer, "audit"), audit_log, on_refused=logs.report_foreign_audit_entries, clock=clock
    )
    recent_entitlements = RecentEntitlements(
        settings.data, catalogue.failure.known_for, clock=clock, on_error=logs.report_unwritten_entitlements
    )
    usage_counters, grant_ends = UsageCounters(UsageStore(store), metrics, catalogue.zone, clock), GrantEndIndex(store)
    alert_flags = AlertStore(store)
    trials = Trials(catalogue, ReaderHistory(store), alert_flags)
    readers = Readers(store, ReaderChangeListener(usage_counters, grant_ends, trials))
    configured_keys = {key.name for key in (*settings.site_keys, *settings.admin_keys)}
    return Adapters(
        settings=settings,
        clock=clock,
        metrics=metrics,
        tracing=tracing,
        store=store,
        secrets=secrets,
        gateway=_gateway(settings, metrics, tracing),
        recent_entitlements=recent_entitlements,
        readers=readers,
        reader_lists=ReaderLists(catalogue, store, readers, clock, report=logs.report_worker_trouble),
        erased=ErasedReaders(store, partial(secrets.sealer_with_stored, ERASURE)),
        grants=Grants(readers, catalogue, audit, recent_entitlements),
        grant_ends=grant_ends,
        passes=Passes(store, audit),
        gift_allowances=GiftAllowances(store),
        audit=audit,
        audit_log=audit_log,
        audit_verifier=AuditVerifier(store, audit_log, partial(secrets.signer, "audit")),
        audit_erasure=AuditErasure(store, audit, audit_log, lambda: secrets.signer("audit")),
        admin_keys=AdminKeys(AuditedHash(store, audit, "keys"), partial(secrets.signer, "key"), configured_keys),
        approvals=Approvals(AuditedHash(store, audit, "approvals"), partial(secrets.sealer, "approval")),
        provider_sources=ProviderSources(store),
        policies=PolicyStore(store),
        stories=StoryMemory(store, clock),
        titles=TitleRegistry(store),
        prices_changed=ChangeCounter(store, "prices"),
        usage_counters=usage_counters,
        comparisons=Comparisons(ComparisonSamples(store), usage_counters, clock),
        alert_flags=alert_flags,
        trials=trials,
    )


def _gateway(settings: Settings, metrics: Metrics, tracing: Tracing | None) -> Gateway | None:
    if settings.stripe_api_key is None:
        return None
    from service.adapters.stripe import gateway, transport  # They import the SDK.

    metrics.stripe_configured.set(1)
    observe = metrics.observe_stripe if tracing is None else tracing.around_stripe(metrics.observe_stripe)
    keys = settings.catalogue.reader_metadata
    return gateway.Gateway(settings.stripe_api_key, settings.stripe_api_base, transport.RateLimit(), observe, keys)


def _service(adapters: Adapters) -> Service:
    a, catalogue = adapters, adapters.settings.catalogue
    event_processor, pass_tokens = _event_processor(a), PassTokens(partial(a.secrets.signing_keys, "pass"))
    decision_ids = DecisionIds(partial(a.secrets.sealer, "decision"), catalogue, DecisionOverflow(a.store, VALID_FOR))
    profiles, prices = ReaderProfiles(catalogue, a.store, a.readers), PriceCache(a.gateway, catalogue)
    imports, grant_changes = _imports(a, event_processor), GrantChanges(catalogue, a.readers, a.grants, a.approvals)
    snapshots, access_check = Snapshots(catalogue, a.provider_sources, imports), _access_check(a, pass_tokens)
    state_metrics = _state_metrics(a, imports, snapshots)
    approval_workflow = ApprovalWorkflow(a.approvals, grant_changes.approval_kinds() | imports.approval_kinds())
    alerts = Alerts(catalogue, event_processor, a.alert_flags, a.grant_ends, snapshots)
    subscription_admin, groups = _subscriptions(a, event_processor)
    erasure, retention = _erasure(a, imports, groups), _retention(a)
    maintenance = _maintenance(a, event_processor, alerts, approval_workflow, retention)
    return Service(
        **{field.name: getattr(a, field.name) for field in fields(a)},
        access_check=access_check,
        decision_ids=decision_ids,
        profiles=profiles,
        policy_revisions=PolicyRevisionTask(a.policies, a.titles, catalogue, link=a.store.link, clock=a.clock),
        explainer=_explainer(a, access_check, decision_ids, profiles),
        grant_changes=grant_changes,
        approval_workflow=approval_workflow,
        imports=imports,
        external_sources=_external_sources(a),
        snapshots=snapshots,
        takeover=_takeover(a, imports, event_processor),
        event_processor=event_processor,
        deliveries=DeliveryReceiver(event_processor, a.usage_counters, a.alert_flags),
        subscription_admin=subscription_admin,
        owned_groups=groups,
        prices=prices,
        purchases=Purchases(catalogue, a.readers, a.gateway, prices, a.trials, event_processor.refresh_soon),
        pass_tokens=pass_tokens,
        pass_keys=PublicPassKeys(pass_tokens, a.titles, a.passes),
        gifts=ReaderGifts(catalogue, a.readers, a.passes, a.gift_allowances),
        erasure=erasure,
        export=Export(profiles, a.readers, a.audit_log, erasure, groups),
        retention=retention,
        alerts=alerts,
        maintenance=maintenance,
        state_metrics=state_metrics,
        background_tasks=_background_tasks(a, event_processor, maintenance, prices, state_metrics),
        worker=_worker(a, event_processor, subscription_admin, maintenance),
        doctor=_doctor(a, event_processor, snapshots),
    )


def _doctor(a: Adapters, processor: EventProcessor, snapshots: Snapshots) -> Doctor:
    return Doctor(
        settings=a.settings,
        store=a.store,
        ledger=processor.ledger,
        objects=processor.objects,
        gateway=a.gateway,
        clock=a.clock,
        erased=a.erased,
        lists=a.reader_lists,
        snapshots=snapshots,
    )


def _state_metrics(a: Adapters, imports: BulkImports, snapshots: Snapshots) -> StateMetrics:
    a.metrics.state.declare_providers(tuple(a.settings.catalogue.providers))
    return StateMetrics(a.store, a.metrics.state, a.audit, imports, a.approvals, snapshots=snapshots, clock=a.clock)


def _access_check(a: Adapters, pass_tokens: PassTokens) -> AccessCheck:
    validator = PassValidator(pass_tokens, a.passes)
    visitors = NewVisitors(a.store.link, a.settings.new_visitors_per_minute, a.metrics.count_refused_visitor)
    return AccessCheck(a.settings.catalogue, a.store, a.readers, a.recent_entitlements, validator, visitors)


def _event_processor(a: Adapters) -> EventProcessor:
    return EventProcessor(
        a.store,
        a.readers,
        a.settings.catalogue,
        erased=a.erased,
        gateway=a.gateway,
        known=a.recent_entitlements,
        listener=ObjectChangeListener(a.settings.catalogue, a.alert_flags, a.clock),
        report=logs.report_stripe_trouble,
        trace=untraced if a.tracing is None else a.tracing.job,
    )


def _subscriptions(a: Adapters, event_processor: EventProcessor) -> tuple[SubscriptionAdmin, OwnedGroups]:
    admin = SubscriptionAdmin(event_processor, a.audit, Merges(a.store, a.readers, a.settings.catalogue))
    tokens = InvitationTokens(partial(a.secrets.signing_keys, "invitation"))
    return admin, OwnedGroups(event_processor, admin, Invitations(a.store), tokens)


def _explainer(a: Adapters, check: AccessCheck, decision_ids: DecisionIds, profiles: ReaderProfiles) -> Explainer:
    return Explainer(
        catalogue=a.settings.catalogue,
        access_check=check,
        readers=a.readers,
        profiles=profiles,
        erased=a.erased,
        decision_ids=decision_ids,
        policies=a.policies,
        history=SourceHistory(a.settings.catalogue, ReaderHistory(a.store), a.audit_log),
        stories=a.stories,
    )


def _imports(a: Adapters, processor: EventProcessor) -> BulkImports:
    store = ImportStore(a.store, partial(a.secrets.sealer, "import"))
    kinds = {kind.name: kind for kind in import_kinds(a, processor, store, Pace())}
    runner = ImportRunner(store, kinds, a.clock, lease=LEASE, report=logs.report_failed_import)
    return BulkImports(store, ImportStaging(store, CHUNK_SIZE), runner, kinds, a.audit, a.approvals)


def _external_sources(a: Adapters) -> ExternalSources:
    return ExternalSources(
        catalogue=a.settings.catalogue,
        readers=a.readers,
        sources=a.provider_sources,
        index=ReaderIndex(a.store),
        audit=a.audit,
        known=a.recent_entitlements,
    )


def import_kinds(a: Adapters, processor: EventProcessor, store: ImportStore, pace: Pace) -> list[AnyKind]:
    """Return every kind of import."""
    writer, planner = ImportSourceWriter(a.store), GrantPlanner(a.store)
    change_planner, catalogue = GrantChangePlanner(GrantStates(a.store)), a.settings.catalogue

    def chunks(planner: RowPlanner) -> GrantChunks:
        return GrantChunks(
            store,
            GrantImportWriter(writer, a.erased),
            ReaderIndex(a.store),
            planner,
            states=GrantStates(a.store),
            ends=a.grant_ends,
            recent_entitlements=a.recent_entitlements,
            pace=pace,
        )

    snapshots = ProviderSnapshots(
        a.provider_sources, writer, a.erased, ReaderIndex(a.store), a.recent_entitlements, pace
    )
    fan_out = BulkFanOut(processor.objects, CustomerRows(a.store), processor.owners, processor.object_refresh)
    links = LinkImports(LinkImportWriter(a.store), a.erased, fan_out, pace)
    grants = GrantImports(catalogue, planner, chunks(planner))
    changes = GrantChangeImports(catalogue, change_planner, chunks(change_planner))
    return [grants, changes, links, snapshots, TakeoverImports(grants, links, SeatRows(processor))]


def _takeover(a: Adapters, imports: BulkImports, event_processor: EventProcessor) -> Takeover:
    account = f"{a.settings.stripe_api_key} {a.settings.stripe_api_base} {a.settings.prefix}"
    progress = ReadProgress(a.settings.data / "takeover-subscriptions", partial(a.secrets.sealer, "takeover"))
    return Takeover(
        catalogue=a.settings.catalogue,
        imports=imports,
        planner=GrantPlanner(a.store),
        reading=StripeReading(a.gateway, event_processor.objects, progress, account),
        full_sync=FullSync(event_processor),
    )


def _erasure(a: Adapters, imports: BulkImports, groups: OwnedGroups) -> Erasure:
    return Erasure(
        catalogue=a.settings.catalogue,
        readers=a.readers,
        audit=a.audit,
        audit_log=a.audit_log,
        audit_erasure=a.audit_erasure,
        approvals=a.approvals,
        imports=imports,
        groups=groups,
        erased=a.erased,
        eraser=Eraser(a.store, a.erased),
        ends=a.grant_ends,
        usage=a.usage_counters.store,
        provider_sources=a.provider_sources,
        known=a.recent_entitlements,
        index=a.reader_lists.updates,
    )


def _retention(a: Adapters) -> RetentionTask:
    history, on_broken = HistoryRetention(a.store), logs.report_broken_audit_chain
    return RetentionTask(a.settings.catalogue, history, a.policies, a.audit_verifier, a.erased, on_broken=on_broken)


def _maintenance(
    a: Adapters, event_processor: EventProcessor, alerts: Alerts, workflow: ApprovalWorkflow, retention: RetentionTask
) -> Maintenance:
    return Maintenance(
        audit=a.audit,
        approvals=a.approvals,
        approval_workflow=workflow,
        retention=retention,
        erased=a.erased,
        usage_counters=a.usage_counters,
        alerts=alerts,
        entitlement_counts=EntitlementCounts(event_processor, a.grant_ends, a.provider_sources, a.usage_counters.store),
        passes=a.passes,
        grant_ends=a.grant_ends,
        clock=a.clock,
    )


def _background_tasks(
    a: Adapters, event_processor: EventProcessor, maintenance: Maintenance, prices: PriceCache, state: StateMetrics
) -> BackgroundTasks:
    return BackgroundTasks(
        [
            lambda: event_processor.finish_postponed(a.clock()),
            lambda: maintenance.finish_pending(a.clock()),
            OnChange(a.prices_changed.read, prices.request_refresh),
            a.usage_counters.tick,
            a.comparisons.write_samples,
            a.metrics.processes.record,
            state.tick,
        ]
    )


def _worker(
    a: Adapters, event_processor: EventProcessor, subscription_admin: SubscriptionAdmin, maintenance: Maintenance
) -> Worker:
    return Worker(
        event_processor,
        subscription_admin,
        LeaderElection(a.store, LEADS_FOR),
        maintenance,
        clock=a.clock,
        prices_changed=a.prices_changed.increment,
        report=logs.report_worker_trouble,
    )

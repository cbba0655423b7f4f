"""The composition root: settings → adapters → use cases → one `Service`, on which nothing is set later.

Nothing connects and no thread starts before `Service.start`. The entrypoints take what they need from the `Service`:
`service.entrypoints.http.wsgi` serves it, the command line calls it, `Service.worker` runs beside it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from service.adapters.clock import Clock, clock_of
from service.adapters.observability import logs
from service.adapters.observability.metrics import Metrics, ProcessKind
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
from service.adapters.redis.grants.grant_states import GrantStates
from service.adapters.redis.grants.grants import GrantEndIndex, Grants
from service.adapters.redis.imports.import_store import ImportSourceWriter, ImportStore
from service.adapters.redis.imports.imported_readers import ImportedReaders
from service.adapters.redis.providers.provider_sources import ProviderSources
from service.adapters.redis.reader_index.reader_index import ReaderIndex
from service.adapters.redis.reader_lifecycle.erasure import Eraser
from service.adapters.redis.reader_lifecycle.merges import Merges
from service.adapters.redis.readers.erased_readers import ERASURE, ErasedReaders
from service.adapters.redis.readers.history import HistoryRetention, ReaderHistory
from service.adapters.redis.readers.readers import Readers
from service.adapters.redis.reporting.alert_flags import AlertStore
from service.adapters.redis.reporting.comparison_samples import ComparisonSamples
from service.adapters.redis.reporting.usage_counts import UsageStore
from service.adapters.redis.service_state.coordination import LEADS_FOR, ChangeCounter, LeaderElection
from service.adapters.redis.service_state.decision_records import DecisionOverflow, PolicyStore
from service.adapters.redis.service_state.secrets import Secrets
from service.adapters.redis.service_state.snapshot import TitleRegistry
from service.adapters.redis.staff.admin_keys import AdminKeys
from service.adapters.redis.staff.approvals import Approvals
from service.adapters.redis.story_passes.passes import GiftAllowances, Passes
from service.adapters.redis.stripe_objects.bulk_writes import BulkWrites
from service.adapters.redis.stripe_objects.link_imports import LinkImportWriter
from service.adapters.redis.stripe_objects.seats import Invitations
from service.adapters.signed_tokens import InvitationClaims, PassTokens, SignedTokens
from service.settings.settings import Settings
from service.use_cases.access.check import AccessCheck
from service.use_cases.access.counting import NewVisitors
from service.use_cases.access.decision_ids import VALID_FOR, DecisionIds
from service.use_cases.access.explain import Explainer
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
from service.use_cases.grants.imports.grant_change_kind import GrantChangeImports
from service.use_cases.grants.imports.grant_chunks import GrantChunks
from service.use_cases.grants.imports.grant_kind import GrantImports
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
from service.use_cases.subscriptions.link_imports import LinkImports
from service.use_cases.subscriptions.owned_groups import OwnedGroups
from service.use_cases.subscriptions.subscription_admin import SubscriptionAdmin
from service.use_cases.takeover.stripe_reading import StripeReading
from service.use_cases.takeover.takeover import Takeover
from service.use_cases.takeover.takeover_import import SeatRows, TakeoverImports

if TYPE_CHECKING:
    from service.adapters.observability.tracing import Tracing
    from service.adapters.stripe.gateway import Gateway

STORE_TIMEOUT = 0.25
"""Seconds: a shorter time-out would take a slow disk for an outage, readers would notice a longer one."""


class Adapters:
    """What the use cases of one process work with: the clock, the records in the store, and Stripe."""

    def __init__(
        self, settings: Settings, clock: Clock, metrics: Metrics, tracing: Tracing | None, store: Store
    ) -> None:
        catalogue = settings.catalogue
        self.settings, self.clock, self.metrics, self.tracing, self.store = settings, clock, metrics, tracing, store
        self.gateway = _gateway(settings, metrics, tracing)
        self.secrets = secrets = Secrets(store, settings.secrets)
        self.recent_entitlements = RecentEntitlements(
            settings.data, catalogue.failure.known_for, clock=clock, on_error=logs.report_unwritten_entitlements
        )
        sign_audit = partial(secrets.signer, "audit")
        self.audit_log = AuditLog(store)
        self.audit = AuditWriter(
            store, sign_audit, self.audit_log, on_refused=logs.report_foreign_audit_entries, clock=clock
        )
        self.audit_verifier = AuditVerifier(store, self.audit_log, sign_audit)
        self.audit_erasure = AuditErasure(store, self.audit, self.audit_log, sign_audit)
        self.usage_counters = UsageCounters(UsageStore(store), metrics, catalogue.zone, clock)
        self.alert_store, self.grant_ends = AlertStore(store), GrantEndIndex(store)
        self.trials = Trials(catalogue, ReaderHistory(store), self.alert_store)
        self.readers = Readers(store, ReaderChangeListener(self.usage_counters, self.grant_ends, self.trials))
        self.reader_lists = ReaderLists(catalogue, store, self.readers, clock, report=logs.report_worker_trouble)
        self.erased = ErasedReaders(store, partial(secrets.sealer_with_stored, ERASURE))
        self.grants = Grants(self.readers, catalogue, self.audit, self.recent_entitlements)
        self.passes, self.gift_allowances = Passes(store, self.audit), GiftAllowances(store)
        configured_keys = {key.name for key in (*settings.site_keys, *settings.admin_keys)}
        self.admin_keys = AdminKeys(
            AuditedHash(store, self.audit, "keys"), partial(secrets.signer, "key"), configured_keys
        )
        self.approvals = Approvals(AuditedHash(store, self.audit, "approvals"), partial(secrets.sealer, "approval"))
        self.provider_sources = ProviderSources(store)
        self.policies, self.titles = PolicyStore(store), TitleRegistry(store)
        self.stories = StoryMemory(store, clock)
        self.prices_changed = ChangeCounter(store, "prices")
        self.comparisons = Comparisons(ComparisonSamples(store), self.usage_counters, clock)


class UseCases(Adapters):
    """What readers and sites ask for, Stripe's events, grants and imports: the other use cases build on these."""

    def __init__(
        self, settings: Settings, clock: Clock, metrics: Metrics, tracing: Tracing | None, store: Store
    ) -> None:
        super().__init__(settings, clock, metrics, tracing, store)
        catalogue, readers = settings.catalogue, self.readers
        self.event_processor = processor = EventProcessor(
            store,
            readers,
            catalogue,
            erased=self.erased,
            gateway=self.gateway,
            known=self.recent_entitlements,
            listener=ObjectChangeListener(catalogue, self.alert_store, clock),
            report=logs.report_stripe_trouble,
            trace=untraced if tracing is None else tracing.job,
        )
        self.deliveries = DeliveryReceiver(processor, self.usage_counters, self.alert_store)
        self.subscription_admin = SubscriptionAdmin(processor, self.audit, Merges(store, readers, catalogue))
        invitation_tokens = SignedTokens(partial(self.secrets.signing_keys, "invitation"), InvitationClaims)
        self.owned_groups = OwnedGroups(processor, self.subscription_admin, Invitations(store), invitation_tokens)
        self.prices = PriceCache(self.gateway, catalogue)
        self.purchases = Purchases(
            catalogue=catalogue,
            readers=readers,
            objects=processor.objects,
            gateway=self.gateway,
            prices=self.prices,
            trials=self.trials,
            refresh=processor.refresh_soon,
        )
        self.pass_tokens = PassTokens(partial(self.secrets.signing_keys, "pass"))
        self.pass_keys = PublicPassKeys(self.pass_tokens, self.titles, self.passes)
        self.gifts = ReaderGifts(catalogue, readers, self.passes, self.gift_allowances)
        self.decision_ids = DecisionIds(
            partial(self.secrets.sealer, "decision"), catalogue, DecisionOverflow(store, VALID_FOR)
        )
        visitors = NewVisitors(store.link, settings.new_visitors_per_minute, metrics.count_refused_visitor)
        validator = PassValidator(self.pass_tokens, self.passes)
        self.access_check = AccessCheck(catalogue, store, self.recent_entitlements, validator, visitors)
        self.policy_revisions = PolicyRevisionTask(self.policies, self.titles, catalogue, link=store.link, clock=clock)
        self.grant_changes = GrantChanges(catalogue, readers, self.grants, self.approvals)
        self.imports = _imports(self)
        self.approval_workflow = ApprovalWorkflow(
            self.approvals, self.grant_changes.approval_kinds() | self.imports.approval_kinds()
        )
        self.snapshots = Snapshots(catalogue, self.provider_sources, self.imports)


class Service(UseCases):
    """The service of one process: also what staff, providers and privacy need, and what works beside the requests."""

    def __init__(
        self, settings: Settings, clock: Clock, metrics: Metrics, tracing: Tracing | None, store: Store
    ) -> None:
        super().__init__(settings, clock, metrics, tracing, store)
        catalogue, processor = settings.catalogue, self.event_processor
        self.profiles = ReaderProfiles(catalogue, store, self.readers)
        self.explainer = _explainer(self)
        self.external_sources = ExternalSources(
            catalogue=catalogue,
            readers=self.readers,
            sources=self.provider_sources,
            index=ReaderIndex(store),
            audit=self.audit,
            known=self.recent_entitlements,
        )
        self.takeover = _takeover(self)
        self.erasure = _erasure(self)
        self.export = Export(self.profiles, self.readers, self.audit_log, self.erasure, self.owned_groups)
        self.retention = RetentionTask(
            catalogue,
            HistoryRetention(store),
            self.policies,
            self.audit_verifier,
            self.erased,
            on_broken=logs.report_broken_audit_chain,
        )
        self.alerts = Alerts(catalogue, processor, self.alert_store, self.grant_ends, self.snapshots)
        self.maintenance = _maintenance(self)
        metrics.state.declare_providers(tuple(catalogue.providers))
        self.state_metrics = _state_metrics(self)
        self.background_tasks = BackgroundTasks(
            [
                lambda: processor.finish_postponed(clock()),
                lambda: self.maintenance.finish_pending(clock()),
                OnChange(self.prices_changed.read, self.prices.request_refresh),
                self.usage_counters.tick,
                self.comparisons.write_samples,
                metrics.processes.record,
                self.state_metrics.tick,
            ]
        )
        self.worker = _worker(self)
        self.doctor = _doctor(self)

    def start(self) -> None:
        """Start the threads that a web process needs. Call it once a process, after any fork."""
        self._start("web")
        self.recent_entitlements.start()
        self.prices.start()
        self.policy_revisions.start()
        self.stories.start()

    def start_worker(self) -> None:
        """Start the threads that a worker's process needs. Call it once a process, after any fork."""
        self._start("worker")

    def _start(self, kind: ProcessKind) -> None:
        self.metrics.start(kind, has_stripe=self.gateway is not None)
        if self.tracing is not None:
            self.tracing.start()
        self.store.link.start()
        self.imports.runner.start()
        self.reader_lists.task.start()

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


def build(settings: Settings, store_url: str, *, traced: bool = False) -> Service:
    """Assemble the service around the store at `store_url`; nothing connects yet. `traced`: with traces, if they are on."""
    tracing = _tracing() if traced and settings.traces else None
    metrics, link_class = Metrics(), Link if tracing is None else partial(TracedLink, span=tracing.store_call)
    probe, report = Keys(settings.prefix).shared("probe"), metrics.report_store_change
    link = link_class(parse_address(store_url), timeout=STORE_TIMEOUT, on_change=report, probe_key=probe)
    return assemble(settings, link, clock_of(settings.demo_clock), metrics, tracing)


def assemble(settings: Settings, link: Link, clock: Clock, metrics: Metrics, tracing: Tracing | None = None) -> Service:
    """Assemble the service around a link to its store."""
    return Service(settings, clock, metrics, tracing, Store(link, Keys(settings.prefix)))


def _tracing() -> Tracing:
    from service.adapters.observability.tracing import Tracing  # It imports OpenTelemetry.

    return Tracing()


def _gateway(settings: Settings, metrics: Metrics, tracing: Tracing | None) -> Gateway | None:
    """Return Stripe's API, or `None` without a Stripe key."""
    if settings.stripe_api_key is None:
        return None
    from service.adapters.stripe import gateway, transport  # They import the SDK.

    observe = metrics.observe_stripe if tracing is None else tracing.around_stripe(metrics.observe_stripe)
    keys = settings.catalogue.reader_metadata
    return gateway.Gateway(settings.stripe_api_key, settings.stripe_api_base, transport.RateLimit(), observe, keys)


def _imports(service: UseCases) -> BulkImports:
    store = ImportStore(service.store, partial(service.secrets.sealer, "import"))
    kinds = {kind.name: kind for kind in import_kinds(service, store, Pace())}
    runner = ImportRunner(store, kinds, service.clock, lease=LEASE, report=logs.report_failed_import)
    return BulkImports(store, ImportStaging(store, CHUNK_SIZE), runner, kinds, service.audit, service.approvals)


def import_kinds(service: UseCases, imports: ImportStore, pace: Pace) -> list[AnyKind]:
    """Return every kind of import."""
    store, catalogue, processor = service.store, service.settings.catalogue, service.event_processor
    writer, states = ImportSourceWriter(store), GrantStates(store)
    chunks = GrantChunks(
        imports,
        GrantImportWriter(writer, service.erased),
        ReaderIndex(store),
        states,
        ends=service.grant_ends,
        recent_entitlements=service.recent_entitlements,
        pace=pace,
    )
    snapshots = ProviderSnapshots(
        service.provider_sources, writer, service.erased, ReaderIndex(store), service.recent_entitlements, pace
    )
    fan_out = BulkFanOut(
        processor.objects,
        processor.owners,
        BulkWrites(store, service.readers),
        processor.projections,
        processor.object_refresh,
    )
    links = LinkImports(LinkImportWriter(store), service.erased, fan_out, pace)
    grants = GrantImports(catalogue, chunks, ImportedReaders(store))
    changes = GrantChangeImports(catalogue, chunks, states)
    return [grants, changes, links, snapshots, TakeoverImports(grants, links, SeatRows(processor))]


def _explainer(service: Service) -> Explainer:
    return Explainer(
        catalogue=service.settings.catalogue,
        access_check=service.access_check,
        readers=service.readers,
        profiles=service.profiles,
        erased=service.erased,
        decision_ids=service.decision_ids,
        policies=service.policies,
        history=SourceHistory(service.settings.catalogue, ReaderHistory(service.store), service.audit_log),
        stories=service.stories,
    )


def _takeover(service: Service) -> Takeover:
    settings, processor = service.settings, service.event_processor
    account = f"{settings.stripe_api_key} {settings.stripe_api_base} {settings.prefix}"
    progress = ReadProgress(settings.data / "takeover-subscriptions", partial(service.secrets.sealer, "takeover"))
    return Takeover(
        catalogue=settings.catalogue,
        imports=service.imports,
        readers=ImportedReaders(service.store),
        reading=StripeReading(service.gateway, processor.objects, progress, account),
        full_sync=FullSync(processor),
    )


def _erasure(service: Service) -> Erasure:
    return Erasure(
        catalogue=service.settings.catalogue,
        readers=service.readers,
        audit=service.audit,
        audit_log=service.audit_log,
        audit_erasure=service.audit_erasure,
        approvals=service.approvals,
        imports=service.imports,
        groups=service.owned_groups,
        erased=service.erased,
        eraser=Eraser(service.store, service.erased),
        ends=service.grant_ends,
        usage=service.usage_counters.store,
        provider_sources=service.provider_sources,
        known=service.recent_entitlements,
        index=service.reader_lists.updates,
    )


def _maintenance(service: Service) -> Maintenance:
    usage = service.usage_counters
    return Maintenance(
        audit=service.audit,
        approvals=service.approvals,
        approval_workflow=service.approval_workflow,
        retention=service.retention,
        erased=service.erased,
        usage_counters=usage,
        alerts=service.alerts,
        entitlement_counts=EntitlementCounts(
            service.event_processor, service.grant_ends, service.provider_sources, usage.store
        ),
        passes=service.passes,
        grant_ends=service.grant_ends,
        clock=service.clock,
    )


def _state_metrics(service: Service) -> StateMetrics:
    return StateMetrics(
        store=service.store,
        gauges=service.metrics.state,
        audit=service.audit,
        imports=service.imports,
        approvals=service.approval_workflow,
        snapshots=service.snapshots,
        alert_store=service.alert_store,
        pending_work=service.event_processor.pending_work,
        leader=LeaderElection(service.store, LEADS_FOR),
        clock=service.clock,
    )


def _worker(service: Service) -> Worker:
    return Worker(
        service.event_processor,
        service.subscription_admin,
        LeaderElection(service.store, LEADS_FOR),
        service.maintenance,
        clock=service.clock,
        prices_changed=service.prices_changed.increment,
        report=logs.report_worker_trouble,
    )


def _doctor(service: Service) -> Doctor:
    return Doctor(
        settings=service.settings,
        store=service.store,
        ledger=service.event_processor.ledger,
        objects=service.event_processor.objects,
        gateway=service.gateway,
        clock=service.clock,
        erased=service.erased,
        lists=service.reader_lists,
        snapshots=service.snapshots,
    )

"""Take over the members of another system: examine its export, report what would change for whom, and import it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from service.adapters.batches import batched
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.imports.import_store import ImportManifest
from service.adapters.redis.imports.imported_readers import ImportedReaders
from service.domain import grant_rules
from service.domain.catalogue import Catalogue
from service.domain.errors import InvalidFields
from service.domain.ids import wrong_reader_id
from service.domain.stripe_facts import StripeFacts
from service.use_cases.imports.bulk_imports import PATIENCE, BulkImports, PendingImport
from service.use_cases.imports.csv_file import ImportSheet
from service.use_cases.imports.kinds import PlanContext
from service.use_cases.imports.pacing import retry_while_unavailable
from service.use_cases.subscriptions.full_sync import FullSync
from service.use_cases.subscriptions.projections import seats_paid_for
from service.use_cases.takeover.comparison import Comparison, MovedSource, compare
from service.use_cases.takeover.export_file import ExportRow
from service.use_cases.takeover.formats.export_format import ExportFormat
from service.use_cases.takeover.level_map import LevelCount, LevelMap
from service.use_cases.takeover.planning import (
    MemberPlan,
    Person,
    Rules,
    choose_links,
    count_levels,
    is_for_group,
    plan_row,
    settle,
)
from service.use_cases.takeover.reasons import TakeoverReason
from service.use_cases.takeover.stripe_reading import StripeReading
from service.use_cases.takeover.stripe_view import StripeView
from service.use_cases.takeover.takeover_import import TAKEOVER_IMPORT, TakeoverEntry

_BATCH = 500
_THREADS = 8

Report = Callable[[str, int, int], None]
"""Receives what is being done, how much of it is done, and of how much; 0 where that is unknown."""


@dataclass(slots=True)
class TakeoverReport:
    """What a take-over would do, or did. `skipped` counts rows by reason, `levels` all levels that were found."""

    form: ExportFormat
    rows: int
    links: int = 0
    grants: int = 0
    seats: int = 0
    skipped: Counter[TakeoverReason] = field(default_factory=Counter)
    comparison: Comparison = field(default_factory=Comparison)
    levels: Mapping[str, LevelCount] = field(default_factory=dict)
    unmapped: Mapping[str, int] = field(default_factory=dict)
    """Levels without a line in `takeover.toml`: how many rows with access have them."""
    unread: int = 0
    """Members who pay by Stripe of whom nothing is known here, so that the export's word counts."""
    sheet: ImportSheet[TakeoverEntry] = field(default_factory=lambda: ImportSheet(TakeoverEntry))
    facts: list[StripeFacts] = field(default_factory=list)
    """Subscriptions as Stripe has just listed them."""

    @property
    def changes(self) -> int:
        """Return how many rows would change something."""
        return self.links + self.grants


@dataclass(frozen=True)
class Takeover:
    """Takes over members. Raises: StoreUnavailable; StripeFailure while subscriptions are read."""

    catalogue: Catalogue
    imports: BulkImports
    readers: ImportedReaders
    reading: StripeReading
    full_sync: FullSync

    def examine(
        self, form: ExportFormat, rows: Sequence[ExportRow], levels: LevelMap, now: float, report: Report
    ) -> TakeoverReport:
        """Return what a take-over of these rows would do; nothing is written. Raises: InvalidFields.

        A grant that `[grants]` of `paywall.toml` rules out is refused.
        """
        rules = Rules(levels, self.catalogue, now)
        people = self._load_people(rows, now, report)
        plans = [plan_row(row, people, rules) for row in rows]
        choose_links(plans)
        links = {plan.link for plan in plans if plan.link is not None}
        view = self.reading.read(links, now, lambda count: report("Reading Stripe", count, 0))
        settle(plans, view, self._load_seats(plans, view), rules)
        self._check_grants(plans, now)
        found = TakeoverReport(form, len(rows), levels=count_levels(rows))
        self._count(found, plans, now, report)
        found.comparison = compare(plans, people, self._find_moved(plans, now))
        found.unmapped = _count_unmapped(plans, levels)
        found.unread = sum(_is_unread(plan, view) for plan in plans)
        found.facts = list(view.by_id.values()) if view.complete else []
        return found

    def commit(self, found: TakeoverReport, actor: Actor, now: float) -> ImportManifest | PendingImport | None:
        """Commit a take-over as one import, or request an approval where `[grants]` requires one. `None`: no change."""
        if not found.changes:
            return None
        sheet = found.sheet
        return self.imports.submit(TAKEOVER_IMPORT, sheet, actor, now, digest=sheet.digest(), format=found.form.name)

    def store_subscriptions(self, found: TakeoverReport, now: float, report: Report) -> None:
        """Store the subscriptions that Stripe has listed and that are unknown here, so that their owners have access."""

        def store(facts: StripeFacts) -> None:
            retry_while_unavailable(lambda: self.full_sync.store_listed(facts, now), PATIENCE)

        # Each takes a dozen writes that wait for the disk; together they share the waits.
        with ThreadPoolExecutor(_THREADS) as pool:
            for count, _ in enumerate(pool.map(store, found.facts), 1):
                report("Storing subscriptions", count, len(found.facts))

    # What the store says.

    def _load_people(self, rows: Sequence[ExportRow], now: float, report: Report) -> dict[str, Person]:
        """Return every reader of the rows by the ID that the export has."""
        readers = [name for name in dict.fromkeys(row.member.reader for row in rows) if not wrong_reader_id(name)]
        people: dict[str, Person] = {}
        for count, (reader, person) in enumerate(zip(readers, self._iterate_people(readers, now), strict=True), 1):
            people[reader] = person
            if count % _BATCH == 0 or count == len(readers):
                report("Reading members", count, len(readers))
        return people

    def _iterate_people(self, readers: Sequence[str], now: float) -> Iterator[Person]:
        """Yield the person of each reader, after merges."""
        for batch in batched(readers, _BATCH):
            loaded = retry_while_unavailable(partial(self.readers.load, [reader_hash(r) for r in batch]))
            for reader, found in zip(batch, loaded, strict=True):
                sources = (one.source for one in found.sources if one.source is not None)
                holdings = (holding for source in sources for holding in source.holdings(self.catalogue))
                active = frozenset(holding.key for holding in holdings if holding.is_active_at(now))
                yield Person(found.heir or reader, active)

    def _find_moved(self, plans: Sequence[MemberPlan], now: float) -> list[MovedSource]:
        """Return what links would take from readers who own it so far; a link of a subscription itself stays in force."""
        linked = {plan.link: plan for plan in plans if plan.link is not None and not plan.repeats_link}
        found = [
            (owner, obj.ref.id, linked[link])
            for link, obj in self.reading.iterate_stored(linked)
            if (owner := obj.owner.reader) not in (None, linked[link].reader)
            and not (link.kind == "customer" and obj.link is not None)
        ]
        owners = list(dict.fromkeys(owner for owner, _, _ in found))
        people = dict(zip(owners, self._iterate_people(owners, now), strict=True))
        return [MovedSource(people[owner], source, plan) for owner, source, plan in found]

    def _load_seats(self, plans: Sequence[MemberPlan], view: StripeView) -> dict[str, dict[str, int]]:
        """Return the seats in use of every group that a row links."""
        linked = [(plan, facts) for plan in plans if plan.link for facts in view.list_linked(plan.link) or (None,)]
        named = (
            facts.ref.id if facts is not None else plan.member.subscription
            for plan, facts in linked
            if (is_for_group(plan, self.catalogue) if facts is None else seats_paid_for(facts, self.catalogue))
        )
        groups = dict.fromkeys(name for name in named if name is not None)
        names = [f"subscription:{name}" for name in groups]
        stored = retry_while_unavailable(lambda: self.reading.objects.load_all(names)) if names else []
        return {obj.ref.id: obj.seats for obj in stored}

    def _check_grants(self, plans: Sequence[MemberPlan], now: float) -> None:
        wanted = dict.fromkeys((grant.plan, grant.until) for plan in plans for grant in plan.grants)
        mistakes = [
            (f"plan {plan}", message)
            for plan, until in wanted
            for _, message in grant_rules.find_mistakes(
                self.catalogue, plan=plan, features=(), start=int(now), until=until, now=now
            )
        ]
        if mistakes:
            raise InvalidFields(dict.fromkeys(mistakes))

    def _count(self, found: TakeoverReport, plans: Sequence[MemberPlan], now: float, report: Report) -> None:
        """Count what each row changes, by a plan of the import."""
        found.sheet.rows = len(plans)
        for entry in _entries(plans, found.form):
            found.sheet.add(entry)
        actions: dict[int, set[str]] = {}
        context = PlanContext("", now)
        for count, (index, row) in enumerate(self.imports.kinds[TAKEOVER_IMPORT].plan(found.sheet, context), 1):
            actions.setdefault(index, set()).add(row.action)
            if count % _BATCH == 0:
                report("Comparing", count, 0)
        for index, plan in enumerate(plans):
            taken = actions.get(index, set())
            found.seats += "seats" in taken
            if taken & {"links", "seats"}:
                found.links += 1
            elif taken:
                found.grants += 1
            else:
                found.skipped[plan.skipped] += 1


def _entries(plans: Sequence[MemberPlan], form: ExportFormat) -> Iterator[TakeoverEntry]:
    """Yield what the import is to write, each entry with the index of its row."""
    for index, plan in enumerate(plans):
        link = plan.link if not plan.repeats_link else None
        if plan.reader is not None and (link or plan.grants or plan.seat):
            seat = (plan.seat.subscription, plan.seat.quantity) if plan.seat else None
            grants = [(grant.plan, grant.until) for grant in plan.grants]
            yield TakeoverEntry(index, plan.reader, link, grants, seat, f"takeover: {form.name}")


def _count_unmapped(plans: Sequence[MemberPlan], levels: LevelMap) -> dict[str, int]:
    """Return the levels without a line; a price of Stripe needs none if `paywall.toml` has it."""
    found = Counter(
        level
        for plan in plans
        if plan.access and not (plan.member.is_price and (plan.plans or plan.opens))
        for level in plan.member.levels
        if level not in levels.known_levels
    )
    return dict(found.most_common())


def _is_unread(plan: MemberPlan, view: StripeView) -> bool:
    is_stripes = plan.access and plan.member.carrier == "stripe"
    return is_stripes and plan.link is not None and view.list_linked(plan.link) is None

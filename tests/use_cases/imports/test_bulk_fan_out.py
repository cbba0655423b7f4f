"""Test that a bulk link leaves the state that the same links leave one at a time, also with payments stored before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from service.adapters.redis.imports.import_store import ImportManifest
from service.adapters.redis.readers.history import ReaderHistory
from service.adapters.redis.readers.source_codec import field_of
from service.adapters.redis.stripe_objects.link_imports import LINK_IMPORT
from service.domain.sources import Subscription
from service.use_cases.imports.bulk_imports import BulkImports
from service.use_cases.imports.staging import CHUNK_SIZE, ImportStaging
from service.use_cases.subscriptions import link_imports
from tests.import_bench import ANN, Bench, import_bench
from tests.recorded_stripe import DAY, NOW, POLICY, Maker, Stage
from tests.store_clusters import BuildCluster
from tests.use_cases.imports.conftest import link_file as file_of

READERS = [f"r-{number}" for number in range(10)]
CREATED, CHANGED = "customer.subscription.created", "customer.subscription.updated"
CUSTOMERS = {f"cus_{number}": f"r-{number}" for number in range(10)}
SUBSCRIPTIONS = {"sub_1": "r-1", "sub_2": "r-1", "sub_3": "r-4", "sub_5": "r-5", "sub_9": "r-9", "sub_new": "r-0"}


@dataclass(frozen=True)
class Title:
    """A service with payments of many kinds."""

    bench: Bench
    make: Maker

    def link(self, links: dict[str, str]) -> None:
        """Link one at a time."""
        for named, reader in links.items():
            self.bench.service.subscription_admin.link_to_reader(
                reader, **_target(named), actor=ANN, now=NOW, force=True
            )

    def unlink(self, links: dict[str, str]) -> None:
        for named, reader in links.items():
            self.bench.service.subscription_admin.unlink_from_reader(reader, **_target(named), actor=ANN, now=NOW)

    def import_links(self, links: dict[str, str], imports: BulkImports | None = None) -> str:
        """Import links, all in one batch."""
        imports, kind = imports or self.bench.imports(), next(iter(_target(next(iter(links)))))
        imports = replace(imports, staging=ImportStaging(imports.store, CHUNK_SIZE))
        rows = [f"{reader},{named}" for named, reader in links.items()]
        found = imports.submit(LINK_IMPORT, link_imports.read(file_of(*rows, kind=kind)), ANN, NOW)
        assert isinstance(found, ImportManifest)
        imports.finish(found.id)
        return found.id

    def undo(self, import_id: str) -> None:
        imports = self.bench.imports()
        imports.undo(import_id, "wrong file", ANN, NOW)
        imports.finish(import_id)

    def state(self) -> dict[str, Any]:
        """Return the sources, history and customers of each reader, and the owner and holders of each object."""
        service = self.bench.service
        readers, objects = service.readers, service.event_processor.objects
        found: dict[str, Any] = {}
        for reader in READERS:
            active, past = readers.load_active_and_past(reader)
            sources = [sorted(repr(kept.source) for kept in part if kept.source) for part in (active, past)]
            history = sorted((entry.field, entry.record is None) for entry in readers.load_history(reader))
            held = ReaderHistory(service.store).held_prices(reader)
            found[reader] = (sources, history, held, readers.list_customers(reader))
        for name in [*(f"customer:{name}" for name in CUSTOMERS), *(f"subscription:sub_{n}" for n in range(10))]:
            obj = objects.load(name)
            found[name] = (obj.owner, obj.unlinked_owner, sorted(obj.held), obj.is_fanned_out, obj.link)
        return found


def _target(named: str) -> dict[str, str]:
    return {"customer" if named.startswith("cus_") else "subscription": named}


MakeTitle = Callable[[str], Title]


@pytest.fixture
def title_at(tmp_path: Path) -> Iterator[MakeTitle]:
    """Make services over a store, each with the same payments."""
    with ExitStack() as made:

        def make_title(url: str) -> Title:
            bench = made.enter_context(import_bench(tmp_path, url, POLICY, now=NOW))
            title = Title(bench, Maker(Stage.over(bench.service)))
            _deliver_payments(title)
            return title

        yield make_title


def _deliver_payments(title: Title) -> None:
    """Deliver, by customer: 1 two subscriptions, 2 a trial, 3 r-3's own, 4 an ended one, 5 a group, 6 a gift, 7 a pass,
    8 entitlements and a subscription, 9 of a deleted customer; 0 is unknown. r-9 was merged into r-8.
    """
    make, admin = title.make, title.bench.service.subscription_admin

    def subscribe(number: int, customer: int, reader: str | None = None, **fields: Any) -> None:
        obj = make.subscription(f"sub_{number}", reader=reader, customer=f"cus_{customer}", **fields)
        make.deliver(CREATED, obj)

    subscribe(1, 1)
    subscribe(2, 1, created=NOW - DAY, price="price_all_month")
    make.deliver("customer.created", make.customer("cus_2"))
    subscribe(7, 2, status="trialing", trial_end=NOW + 10 * DAY)
    subscribe(3, 3, "r-3")
    subscribe(4, 4, status="canceled", ended_at=NOW - DAY)
    subscribe(5, 5, price="price_seat_month", quantity=2)
    admin.assign_seat("sub_5", "r-0", ANN, NOW)
    subscribe(6, 6, metadata={"gift_recipient": "r-2"})
    make.deliver("checkout.session.completed", make.session(reader=None, customer="cus_7"))
    subscribe(8, 8)
    summary = {"object": "entitlements.active_entitlement_summary", "customer": "cus_8", "entitlements": {"data": []}}
    summary["entitlements"] = {"object": "list", "has_more": False, "data": [{"lookup_key": "newsmaker_events"}]}
    make.deliver("entitlements.active_entitlement_summary.updated", summary)
    subscribe(9, 9)
    make.deliver("customer.deleted", make.customer("cus_9"))
    admin.merge_readers("r-8", "r-9", ANN, NOW)


@pytest.mark.parametrize("links", [CUSTOMERS, SUBSCRIPTIONS], ids=["customers", "subscriptions"])
def test_bulk_link_and_undo_leave_what_single_links_leave(
    title_at: MakeTitle, valkey_url: str, redis8_url: str, links: dict[str, str]
) -> None:
    singly, at_once = title_at(redis8_url), title_at(valkey_url)
    singly.link(links)
    import_id = at_once.import_links(links)
    assert at_once.state() == singly.state()
    singly.unlink(links)
    at_once.undo(import_id)
    assert at_once.state() == singly.state()


@pytest.mark.full
def test_bulk_link_on_a_cluster_leaves_what_single_links_leave(
    title_at: MakeTitle, build_cluster: BuildCluster, valkey_url: str
) -> None:
    singly, at_once = title_at(valkey_url), title_at(build_cluster("valkey").url)
    singly.link(CUSTOMERS)
    at_once.import_links(CUSTOMERS)
    assert at_once.state() == singly.state()


@pytest.mark.parametrize("links", [CUSTOMERS, {"sub_1": "r-1", "sub_7": "r-7", "sub_8": "r-8"}], ids=["cus", "sub"])
@pytest.mark.parametrize("when", ["save_object_owner", "write_related_fact", "write_source", "record_copies"])
def test_what_happens_amid_a_bulk_link_is_not_lost(
    title_at: MakeTitle, valkey_url: str, when: str, links: dict[str, str]
) -> None:
    """A webhook, a merge and a link by hand arrive between two steps of a batch."""
    title = title_at(valkey_url)
    due = [when]
    by_hand = list(links)[-1]

    def meanwhile(name: str) -> None:
        if name in due:
            due.clear()
            title.make.deliver(CHANGED, title.make.subscription("sub_1", reader=None, end=NOW + 40 * DAY), NOW + 1)
            title.bench.service.subscription_admin.merge_readers("r-2", "r-7", ANN, NOW)
            title.link({by_hand: "r-4"})

    title.import_links(links, title.bench.imports(title.bench.link(meanwhile)))
    service, objects = title.bench.service, title.bench.service.event_processor.objects
    active = {name: service.readers.load_active(name) for name in READERS}
    held = {name: set(map(field_of, sources)) for name, sources in active.items()}
    (renewed,) = [source for source in active["r-1"] if field_of(source) == b"s:sub_1"]
    assert isinstance(renewed, Subscription)
    assert renewed.items[0].end == NOW + 40 * DAY
    assert (held["r-7"], held["r-2"] >= ({b"p:cs_1"} if links is CUSTOMERS else {b"s:sub_7"})) == (set(), True)
    for name in (f"subscription:sub_{number}" for number in range(1, 10)):
        obj = objects.load(name)
        holders = {reader for reader in READERS if f"s:{obj.ref.id}".encode() in held[reader]}
        assert (obj.is_fanned_out, holders <= {obj.owner.reader}) == (True, True), name

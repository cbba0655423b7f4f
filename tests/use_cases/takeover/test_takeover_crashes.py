"""Test take-overs and their undo killed at any step: nothing before the commit, everything after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.imports.import_store import ImportManifest
from service.use_cases.imports.bulk_imports import BulkImports
from service.use_cases.imports.csv_file import ImportSheet
from service.use_cases.imports.kinds import PlanContext
from service.use_cases.takeover.takeover_import import TAKEOVER_IMPORT, TakeoverEntry
from tests.import_bench import ANN, Bench, import_bench
from tests.recorded_stripe import NOW, Maker, Stage
from tests.stepped_link import Failure, Killed
from tests.use_cases.takeover.sample_exports import POLICY

READERS = ["r-2", "r-3", "r-4"]
REASON = "takeover: ghost"
ENTRIES = [
    TakeoverEntry(0, "r-2", ("customer", "cus_1"), [], None, REASON),
    TakeoverEntry(1, "r-3", ("subscription", "sub_group"), [], ("sub_group", 2), REASON),
    TakeoverEntry(2, "r-4", ("customer", "cus_4"), [("vip", NOW + 86_400)], None, REASON),
]
"""A link of an unassigned payment, a group with a seat for its owner, and a row that needs a link and a grant."""


@pytest.fixture
def bench(tmp_path: Path, valkey_url: str) -> Iterator[Bench]:
    with import_bench(tmp_path, valkey_url, POLICY, now=NOW) as made:
        make = Maker(Stage.over(made.service))
        make.deliver("customer.subscription.created", make.subscription(reader=None))
        group = make.subscription("sub_group", reader=None, customer="cus_group", price="price_seat_month")
        make.deliver("customer.subscription.created", group)
        yield made


def _access(bench: Bench) -> list[bool]:
    service = bench.service
    return [service.profiles.load_profile(reader, None, NOW).access for reader in READERS]


def _take_over(imports: BulkImports) -> ImportManifest:
    sheet = ImportSheet(TakeoverEntry)
    for entry in ENTRIES:
        sheet.add(entry)
    sheet.rows = len(ENTRIES)
    done = imports.submit(TAKEOVER_IMPORT, sheet, ANN, NOW, format="ghost")
    assert isinstance(done, ImportManifest)
    return imports.finish(done.id)


def _undo(imports: BulkImports, import_id: str) -> ImportManifest:
    imports.undo(import_id, "wrong file", ANN, NOW)
    return imports.finish(import_id)


def test_undo_takes_back_links_grants_and_seats(bench: Bench) -> None:
    imports = bench.imports()
    done = _take_over(imports)
    assert _access(bench) == [True] * len(READERS)
    assert (done.counted["grants"], done.counted["links"], done.counted["seats"]) == (1, 3, 1)
    undone = _undo(imports, done.id)
    assert _access(bench) == [False] * len(READERS)
    assert (undone.counted["taken_back"], undone.counted["left_alone"]) == (5, 0)


def test_undo_leaves_a_seat_that_was_given_by_hand(bench: Bench) -> None:
    admin = bench.service.subscription_admin
    admin.assign_seat("sub_group", "r-3", ANN, NOW - 60)
    imports = bench.imports()
    done = _take_over(imports)
    _undo(imports, done.id)
    assert _access(bench) == [False, True, False]


@pytest.mark.full
@pytest.mark.parametrize("undoing", [False, True])
def test_take_over_killed_at_any_command_is_nothing_or_complete(bench: Bench, undoing: bool) -> None:
    failure, surviving, step = Failure(), bench.imports(), 0
    link = bench.link(failure)
    while step == 0 or failure.struck:
        step += 1
        done = _take_over(surviving) if undoing else None
        failure.arm(step)
        with suppress(Killed):
            if done is not None:
                _undo(bench.imports(link), done.id)
            else:
                _take_over(bench.imports(link))
        surviving.finish_all()
        if done is not None and surviving.find(done.id).state == "undone":
            counted = surviving.find(done.id).counted
            assert counted["taken_back"] + counted["left_alone"] == 5, failure.passed
        running = [one.id for one in bench.manifests() if one.state == "done"]
        assert _access(bench) == [bool(running)] * len(READERS), failure.passed
        for import_id in running:
            _undo(surviving, import_id)
        assert _access(bench) == [False] * len(READERS), failure.passed
    assert step > 10


def test_erased_reader_is_removed_from_what_is_staged(bench: Bench) -> None:
    kind, sheet = bench.imports().kinds[TAKEOVER_IMPORT], ImportSheet(TakeoverEntry)
    for entry in ENTRIES:
        sheet.add(entry)
    rows = [row for _, row in kind.plan(sheet, PlanContext("im_1", NOW))]
    assert kind.remove_reader(rows, {reader_hash("r-3").decode()}) == 2
    assert [row.action for row in rows].count("skipped") == 2
    assert b"r-3" not in msgspec.json.encode(rows)

"""Test imports of links and undo killed at any step: nothing before the commit, everything after it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from service.adapters.redis.imports.import_store import ImportManifest
from service.adapters.redis.stripe_objects.link_imports import LINK_IMPORT
from service.use_cases.imports.bulk_imports import BulkImports
from service.use_cases.subscriptions import link_imports
from tests.import_bench import ANN, Bench, import_bench
from tests.recorded_stripe import NOW, Maker, Stage
from tests.stepped_link import Failure, Killed
from tests.use_cases.imports.conftest import link_file as file_of

READERS = [f"r-{number}" for number in range(5)]


@pytest.fixture
def bench(tmp_path: Any, valkey_url: str) -> Any:
    with import_bench(tmp_path, valkey_url, now=NOW) as made:
        yield made


@pytest.fixture
def ids(bench: Bench) -> list[str]:
    """Prepare a link by hand, and two payments: one is unassigned, one is of r-3. Return the import's rows."""
    service = bench.service
    service.subscription_admin.link_to_reader("r-0", customer="cus_0", actor=ANN, now=NOW, force=True)
    make = Maker(Stage.over(service))
    make.deliver("customer.subscription.created", make.subscription(reader=None))
    make.deliver("customer.subscription.created", make.subscription("sub_3", reader="r-3", customer="cus_3"))
    return ["r-1,cus_0", "r-2,cus_1", "r-4,cus_3", "r-4,cus_4"]


def state(bench: Bench) -> list[tuple[bool, list[str]]]:
    """Return the access and the customers of each reader."""
    readers = bench.service.readers
    return [(bool(readers.load_active(name)), readers.list_customers(name)) for name in READERS]


def run_import(bench: Bench, imports: BulkImports, rows: list[str]) -> ImportManifest:
    found = imports.submit(LINK_IMPORT, link_imports.read(file_of(*rows)), ANN, bench.clock())
    assert isinstance(found, ImportManifest)
    return imports.finish(found.id)


def run_undo(bench: Bench, imports: BulkImports, import_id: str) -> None:
    imports.undo(import_id, "wrong file", ANN, bench.clock())
    imports.finish(import_id)


@pytest.mark.full
@pytest.mark.parametrize("undoing", [False, True])
def test_links_killed_at_any_command_are_nothing_or_complete(bench: Bench, ids: list[str], undoing: bool) -> None:
    failure, surviving = Failure(), bench.imports()
    link, before, step = bench.link(failure), state(bench), 0
    whole: Any = None
    while step == 0 or failure.struck:
        step += 1
        done = run_import(bench, surviving, ids) if undoing else None
        whole = whole or (state(bench) if done else None)
        failure.arm(step)
        with suppress(Killed):
            if done is not None:
                run_undo(bench, bench.imports(link), done.id)
            else:
                run_import(bench, bench.imports(link), ids)
        surviving.finish_all()
        found = bench.manifests()
        if done is not None and surviving.find(done.id).state == "undone":
            counted = surviving.find(done.id).counted
            assert (counted["taken_back"], counted["left_alone"]) == (len(ids), 0), failure.passed
        running = [one.id for one in found if one.state == "done"]
        assert all(one.state in ("staged", "done", "undone") for one in found)
        if running:
            whole = whole or state(bench)
            assert state(bench) == whole != before, failure.passed
        else:
            assert state(bench) == before, failure.passed
        for import_id in running:
            run_undo(bench, surviving, import_id)
        assert state(bench) == before, failure.passed
    assert step > 10


@pytest.mark.full
@pytest.mark.parametrize("commit", ["applying", "undoing"])
def test_lost_reply_of_the_store_after_the_commit_ends_no_command(bench: Bench, commit: str) -> None:
    """A command that waits for its import goes on, and counts each row once."""
    failure, lives_on = Failure(replies_only=True), [False]

    def after(name: str) -> None:
        lives_on[0] = lives_on[0] or name == "commit_import"
        if lives_on[0]:
            failure(name)

    surviving, imports, step = bench.imports(), bench.imports(bench.link(after=after)), 0
    while step == 0 or failure.struck:
        step += 1
        rows = [f"r-1,cus_{step}_{number}" for number in range(4)]
        lives_on[0] = False
        done = run_import(bench, surviving, rows) if commit == "undoing" else None
        failure.arm(step)
        if done is None:
            assert run_import(bench, imports, rows).counted["new"] == len(rows), failure.passed
        else:
            run_undo(bench, imports, done.id)
            assert surviving.find(done.id).counted["taken_back"] == len(rows), failure.passed
    assert step > 10


def test_undo_by_several_processes_counts_each_row_once(bench: Bench) -> None:
    """Their leases are so short that each loses its own all the time."""
    rows = [f"r-1,cus_{number}" for number in range(90)]
    done = run_import(bench, bench.imports(), rows)
    first, second = bench.imports(), bench.imports()
    first.undo(done.id, "wrong file", ANN, bench.clock())
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda imports: imports.finish(done.id), (first, second)))
    assert first.find(done.id).counted["taken_back"] == len(rows)

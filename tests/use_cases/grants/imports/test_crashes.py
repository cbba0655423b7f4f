"""Test imports and undo killed at any step: nothing before the commit, everything after it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest

from service.adapters.redis.client.store import Store
from service.adapters.redis.grants.grants import GrantRequest
from service.adapters.redis.imports.import_store import ImportManifest, ImportStore, ImportTurn
from service.use_cases.imports.bulk_imports import BulkImports
from tests.import_bench import ANN, BEN, Bench
from tests.stepped_link import Failure, Killed, Step
from tests.store_servers import wait_until
from tests.use_cases.grants.imports.conftest import sheet

SOON, LATE = "2099-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
SOON_AT, LATE_AT = 4_070_908_800, 4_102_444_800
READERS = [f"r-{n}" for n in range(7)]
ROWS = [f"{reader},vip,{LATE},press" for reader in READERS]
EXTENDED = ("r-1", "r-5")
"""They hold the plan already, until SOON."""

Work = Callable[[BulkImports], object]


def once(name: str, work: Callable[[], object]) -> Step:
    """Return a callback that runs another process's work at the first operation of this name."""
    done: list[str] = []

    def step(operation: str) -> None:
        if operation == name and not done:
            done.append(name)
            work()

    return step


def die() -> None:
    raise Killed


def prepared(bench: Bench) -> None:
    for reader in EXTENDED:
        bench.service.grants.create(
            reader, GrantRequest("vip", (), "before", int(bench.clock()), SOON_AT), BEN, bench.clock()
        )


def whole(bench: Bench) -> bool:
    return all(
        [grant.until for grant in bench.grants(reader) if grant.revoked_at is None] == [LATE_AT] for reader in READERS
    )


def as_before(bench: Bench) -> bool:
    active = {reader: [g.until for g in bench.grants(reader) if g.revoked_at is None] for reader in READERS}
    return active == {reader: [SOON_AT] if reader in EXTENDED else [] for reader in READERS}


def imported(bench: Bench) -> Work:
    def work(imports: BulkImports) -> ImportManifest:
        return imports.finish(bench.submit(imports, sheet(*ROWS)).id)

    return work


def undone(bench: Bench, import_id: str) -> Work:
    def work(imports: BulkImports) -> ImportManifest:
        imports.undo(import_id, "wrong file", ANN, bench.clock())
        return imports.finish(import_id)

    return work


def records(bench: Bench, action: str) -> int:
    bench.service.audit.flush_all()
    head = bench.service.audit_log.state().head.seq
    found = bench.service.audit_log.iterate_records(1, head)
    return sum(record["action"] == action for record in found)


@pytest.mark.full
def test_import_killed_at_any_command_is_nothing_or_complete(bench: Bench) -> None:
    prepared(bench)
    failure, committed, step, names = Failure(), 0, 0, set[str]()
    link, surviving = bench.link(failure), bench.imports()
    while step == 0 or failure.struck:
        step += 1
        failure.arm(step)
        with suppress(Killed):
            imported(bench)(bench.imports(link))
        names |= set(failure.passed)
        surviving.finish_all()
        applied = records(bench, "import.apply")
        if applied == committed:
            assert as_before(bench), failure.passed
            continue
        committed = applied
        assert whole(bench), failure.passed
        surviving.finish(_newest(bench))
        for import_id in _all(bench):
            undone(bench, import_id)(surviving)
        assert as_before(bench), failure.passed
    assert {"commit_import", "acquire_import_turn", "write_import_sources"} <= names
    assert committed > 8
    assert bench.service.audit_verifier.verify().fault is None


@pytest.mark.full
def test_undo_killed_at_any_command_is_nothing_or_complete(bench: Bench) -> None:
    prepared(bench)
    failure, step, names = Failure(), 0, set[str]()
    link, surviving = bench.link(failure), bench.imports()
    while step == 0 or failure.struck:
        step += 1
        result = imported(bench)(surviving)
        assert isinstance(result, ImportManifest)
        before = records(bench, "import.undo")
        failure.arm(step)
        with suppress(Killed):
            undone(bench, result.id)(bench.imports(link))
        names |= set(failure.passed)
        surviving.finish_all()
        if records(bench, "import.undo") == before:
            assert whole(bench), failure.passed
            undone(bench, result.id)(surviving)
        assert as_before(bench), failure.passed
        assert surviving.find(result.id).counted["taken_back"] == len(READERS), failure.passed
    assert {"commit_import", "acquire_import_turn", "write_import_sources"} <= names
    assert step > 8


@pytest.mark.full
def test_import_undone_while_being_applied_leaves_nothing(bench: Bench) -> None:
    """Kill an import at any command and undo it before another process finishes it."""
    prepared(bench)
    failure, step, left = Failure(), 0, 0
    link, surviving = bench.link(failure), bench.imports()
    while step == 0 or failure.struck:
        step += 1
        failure.arm(step)
        with suppress(Killed):
            imported(bench)(bench.imports(link))
        for import_id in _all(bench):
            left += 1
            undone(bench, import_id)(surviving)
        assert as_before(bench), failure.passed
    assert left > 8


@pytest.mark.parametrize("changed", [None, SOON_AT, LATE_AT + 5])
def test_manual_change_during_an_import_is_kept(bench: Bench, changed: int | None) -> None:
    """Kill an import after its first grants, and change them before another process continues."""
    prepared(bench)

    def die_once_extended(operation: str) -> None:
        """On a slow machine a chunk has few rows, so this one may be in a later chunk."""
        if operation == "write_import_sources" and [one.until for one in bench.grants("r-1")] == [LATE_AT]:
            raise Killed

    with pytest.raises(Killed):
        imported(bench)(bench.imports(bench.link(after=die_once_extended)))
    (grant,) = bench.grants("r-1")
    bench.service.grants.change("r-1", grant.id, changed, "by hand", BEN, bench.clock())
    bench.imports().finish_all()
    assert [grant.until for grant in bench.grants("r-1")] == [changed]
    (import_id,) = _all(bench)
    undone(bench, import_id)(bench.imports())
    assert [(g.until, g.revoked_at) for g in bench.grants("r-1")] == [(changed, None)]
    assert bench.imports().find(import_id).counted["left_alone"] == 1


def test_worker_slower_than_its_lease_writes_nothing(bench: Bench) -> None:
    """Hold a worker within a chunk for longer than its lease while another process undoes the import."""
    overtaken: list[str] = []

    def undo_it() -> None:
        overtaken.extend(_all(bench))
        undone(bench, overtaken[0])(bench.imports())

    result = imported(bench)(bench.imports(bench.link(before=once("write_import_sources", undo_it))))
    assert isinstance(result, ImportManifest)
    assert overtaken == [result.id]
    assert result.state == "undone"
    assert not any(bench.active(reader) for reader in READERS)


def test_worker_that_releases_an_expired_lease_leaves_the_next_one(bench: Bench) -> None:
    with pytest.raises(Killed):
        imported(bench)(bench.imports(bench.link(after=once("write_import_sources", die))))
    (import_id,) = _all(bench)
    own, sealer = bench.service.store, partial(bench.service.secrets.sealer, "import")

    def acquire(holder: str, lease: float) -> ImportTurn:
        found: list[ImportTurn] = []

        def is_free() -> bool:
            found.append(ImportStore(own, sealer).acquire_turn(import_id, holder, lease))
            return found[-1].state != "busy"

        wait_until(is_free)
        return found[-1]

    link = bench.link(before=once("replace_field", lambda: acquire("next", 60)))
    ImportStore(Store(link, own.keys), sealer).release_turn(import_id, acquire("slow", 0.02))
    assert ImportStore(own, sealer).acquire_turn(import_id, "third", 60).state == "busy"


def test_lease_from_before_the_server_clock_went_back_counts_as_expired(bench: Bench) -> None:
    with pytest.raises(Killed):
        imported(bench)(bench.imports(bench.link(after=once("write_import_sources", die))))
    (import_id,) = _all(bench)
    store = bench.service.store
    key = store.keys.import_state(import_id)
    store.link.call(key, b"HINCRBY", key, b"lease", 3_600_000)
    bench.imports().finish_all()
    assert bench.imports().find(import_id).state == "done"
    assert whole(bench)


def test_change_between_plan_and_execution_is_planned_again(bench: Bench) -> None:
    prepared(bench)
    (first,) = bench.grants("r-1")

    def change_by_hand() -> None:
        bench.service.grants.revoke("r-1", first.id, "by hand", BEN, bench.clock())
        wanted = GrantRequest("vip", (), "by hand", int(bench.clock()), LATE_AT)
        bench.service.grants.create("r-2", wanted, BEN, bench.clock())

    result = imported(bench)(bench.imports(bench.link(after=once("commit_import", change_by_hand))))
    assert isinstance(result, ImportManifest)
    assert (result.counted["new"], result.counted["extended"], result.counted["unchanged"]) == (5, 1, 1) or (
        result.counted["new"],
        result.counted["extended"],
        result.counted["unchanged"],
    ) == (6, 1, 0)
    assert bench.active("r-1")
    undone(bench, result.id)(bench.imports())
    assert not bench.active("r-1")


def _all(bench: Bench) -> list[str]:
    """Return the imports that are committed and not undone."""
    return [one.id for one in bench.manifests() if one.state in ("applying", "done", "undoing")]


def _newest(bench: Bench) -> str:
    return _all(bench)[-1]

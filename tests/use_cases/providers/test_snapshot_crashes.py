"""Test snapshots killed at any write, and beside other reports: nothing before the commit, everything after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from service.adapters.observability.metrics import Metrics
from service.adapters.redis.imports.import_store import ImportManifest
from service.adapters.redis.reader_index.reader_index import ReaderIndex
from service.bootstrap import assemble
from service.domain.errors import LargestDrop, StoreUnavailable, UnknownExternal
from service.domain.sources import External
from service.use_cases.imports.bulk_imports import BulkImports
from service.use_cases.providers import snapshot_file
from service.use_cases.providers.external_sources import ExternalReport
from service.use_cases.providers.snapshot_kind import SNAPSHOT, ProviderSnapshots
from service.use_cases.providers.snapshots import Snapshots
from tests.import_bench import ANN, Bench, import_bench
from tests.stepped_link import Failure, Killed, Step

BEFORE = [f"{number},r-{number},supporter," for number in range(7)]
AFTER = [*BEFORE[:2], "2,r-2,quiet,", "3,r-4,supporter,", "8,r-8,supporter,", "9,r-9,quiet,"]
"""One changes, one moves, three end, two are new."""
LONG = 600.0
"""Seconds of a lease that ends in no test."""
READS = frozenset({"HGETALL", "HMGET", "HGET", "EXISTS"})


@pytest.fixture
def bench(tmp_path: Path, valkey_url: str) -> Iterator[Bench]:
    with import_bench(tmp_path, valkey_url) as made:
        yield made


def submit(bench: Bench, imports: BulkImports, rows: list[str], *, force: bool = True) -> ImportManifest:
    service = bench.service
    body = "".join(f"{row}\n" for row in ["id,reader,plan,until", *rows]).encode()
    sheet = snapshot_file.read(body, service.settings.catalogue, bench.clock())
    kind = imports.kinds[SNAPSHOT]
    assert isinstance(kind, ProviderSnapshots)
    snapshots = Snapshots(service.settings.catalogue, kind.sources, imports)
    return snapshots.submit("print", sheet, ANN, bench.clock(), force=force)


def apply(bench: Bench, imports: BulkImports, rows: list[str]) -> ImportManifest:
    return imports.finish(submit(bench, imports, rows).id)


def running(bench: Bench) -> list[str]:
    """Return the rows of what readers hold now."""
    found = []
    for number in range(10):
        sources = bench.service.readers.load_all(f"r-{number}")
        found += [
            f"{source.id.removeprefix('print:')},r-{number},{source.plan},"
            for source in sources
            if isinstance(source, External) and source.is_running_at(bench.clock())
        ]
    return sorted(found)


def at_writes(step: Step) -> Step:
    def only(operation: str) -> None:
        if operation not in READS:
            step(operation)

    return only


def once(name: str, work: Callable[[str], object]) -> Step:
    done: list[str] = []

    def step(operation: str) -> None:
        if operation == name and not done:
            done.append(name)
            work(name)

    return step


def die(_: str) -> None:
    raise Killed


@pytest.mark.full
def test_snapshot_killed_at_any_write_is_nothing_or_complete(bench: Bench) -> None:
    failure, step, names, committed = Failure(), 0, set[str](), 0
    link, surviving = bench.link(at_writes(failure)), bench.imports()
    while step == 0 or failure.struck:
        step += 1
        apply(bench, surviving, BEFORE)
        assert running(bench) == sorted(BEFORE)
        failure.arm(step)
        with suppress(Killed):
            apply(bench, bench.imports(link), AFTER)
        names |= set(failure.passed)
        surviving.finish_all()
        whole = running(bench) == sorted(AFTER)
        assert whole or running(bench) == sorted(BEFORE), failure.passed
        committed += whole
    assert {"commit_import", "acquire_import_turn", "write_import_sources", "replace_field"} <= names
    assert committed > 8
    assert bench.service.audit_verifier.verify().fault is None


def test_killed_snapshot_is_finished_before_the_next_is_compared(bench: Bench) -> None:
    apply(bench, bench.imports(), BEFORE)
    with pytest.raises(Killed):
        apply(bench, bench.imports(bench.link(after=once("write_import_sources", die))), AFTER)
    done = apply(bench, bench.imports(), AFTER)
    assert (done.counted["unchanged"], done.counted["new"], done.counted["ended"]) == (len(AFTER), 0, 0)
    assert running(bench) == sorted(AFTER)


def test_snapshot_killed_after_an_entry_marks_each_reader_for_the_index(bench: Bench) -> None:
    with pytest.raises(Killed):
        apply(bench, bench.imports(bench.link(after=once("write_provider_sources", die))), BEFORE)
    bench.imports().finish_all()
    assert ReaderIndex(bench.service.store).count_imported() == len(BEFORE)


def test_reader_of_a_killed_snapshot_is_indexed_if_a_report_finishes_their_row(bench: Bench) -> None:
    with pytest.raises(Killed):
        apply(bench, bench.imports(bench.link(after=once("write_import_sources", die))), BEFORE)
    for name, reader, plan, _ in [row.split(",") for row in running(bench)]:
        report = ExternalReport("print", name, reader, ANN, bench.clock())
        bench.service.external_sources.write_source(report, plan, None)
    bench.imports().finish_all()
    assert ReaderIndex(bench.service.store).count_imported() == len(BEFORE)


def test_report_while_a_snapshot_is_applied_stands(bench: Bench) -> None:
    """Report one source to another reader, and end another, between the commit and the writes of the snapshot."""
    apply(bench, bench.imports(), BEFORE)
    service, now = bench.service, bench.clock()

    def report(_: str) -> None:
        external = service.external_sources
        external.write_source(ExternalReport("print", "8", "r-0", ANN, now), "quiet", None)
        external.write_source(ExternalReport("print", "6", "r-6", ANN, now), "quiet", None)
        external.end_source(ExternalReport("print", "0", "r-0", ANN, now))

    apply(bench, bench.imports(bench.link(after=once("commit_import", report))), AFTER)
    assert running(bench) == sorted([*AFTER[1:4], "9,r-9,quiet,", "8,r-0,quiet,", "6,r-6,quiet,"])


def move_on(bench: Bench) -> None:
    """Report that another reader has the source which the snapshot moves."""
    report = ExternalReport("print", "3", "r-9", ANN, bench.clock())
    bench.service.external_sources.write_source(report, "quiet", None)


def owners_of_moved(bench: Bench) -> list[str]:
    return [row for row in running(bench) if row.startswith("3,")]


def test_report_between_read_and_write_of_a_snapshot_stands(bench: Bench) -> None:
    apply(bench, bench.imports(), BEFORE)
    link = bench.link(after=once("write_import_sources", lambda _: move_on(bench)))
    apply(bench, bench.imports(link, lease=LONG), AFTER)
    assert owners_of_moved(bench) == ["3,r-9,quiet,"]


@pytest.mark.parametrize("survived", [0, 3, 5])
def test_report_stands_if_the_turn_of_a_snapshot_ends_right_after(bench: Bench, survived: int) -> None:
    """Report between the records of readers and the provider's entries; the turn ends some writes later."""
    apply(bench, bench.imports(), BEFORE)
    writes: list[str] = []

    def step(operation: str) -> None:
        if operation == "write_import_sources" and not writes:
            move_on(bench)
        if operation == "write_import_sources" or writes:
            writes.append(operation)
        if len(writes) > survived:
            raise Killed

    with pytest.raises(Killed):
        apply(bench, bench.imports(bench.link(after=at_writes(step))), AFTER)
    bench.imports().finish_all()
    assert owners_of_moved(bench) == ["3,r-9,quiet,"]


def test_snapshot_compared_with_a_set_that_changed_is_compared_again(bench: Bench) -> None:
    apply(bench, bench.imports(), BEFORE)
    imports = bench.imports(bench.link(before=once("SADD", lambda _: apply(bench, bench.imports(), AFTER))))
    done = imports.finish(submit(bench, imports, BEFORE).id)
    assert (done.counted["new"], done.counted["ended"], done.counted["unchanged"]) == (0, 2, 2)
    assert running(bench) == sorted(BEFORE)


def test_refused_snapshot_leaves_nothing_staged(bench: Bench) -> None:
    apply(bench, bench.imports(), BEFORE)
    with pytest.raises(LargestDrop):
        submit(bench, bench.imports(), BEFORE[:3], force=False)
    assert bench.imports().store.count_open() == {}
    state = bench.service.provider_sources.load_snapshot_state("print")
    assert (state.refused is not None, state.at) == (True, int(bench.clock()))
    apply(bench, bench.imports(), BEFORE)
    assert bench.service.provider_sources.load_snapshot_state("print").refused is None


def test_store_that_fails_right_after_the_commit_costs_neither_the_id_nor_the_time(bench: Bench) -> None:
    apply(bench, bench.imports(), BEFORE)
    bench.clock.now += 60
    fails: list[str] = []

    def fail(operation: str) -> None:
        if operation == "HSET" and fails:
            raise StoreUnavailable("timeout")

    link = bench.link(before=fail, after=once("commit_import", fails.append))
    committed = submit(bench, bench.imports(link), AFTER)
    assert committed.state == "applying"
    assert bench.imports().finish(committed.id).state == "done"
    assert bench.service.provider_sources.load_snapshot_state("print").at == int(bench.clock())


def report_cut_off(bench: Bench, report: ExternalReport, until: int | None, step: int) -> bool:
    """Send a report by a process that dies at a write. Return whether it did."""
    failure = Failure()
    link = bench.link(at_writes(failure))
    process = assemble(bench.service.settings, link, bench.clock, Metrics())
    failure.arm(step)
    with suppress(Killed):
        process.external_sources.write_source(report, "supporter", until)
    return failure.struck


@pytest.mark.parametrize("had", [None, "r-1", "r-2"])
@pytest.mark.parametrize("repeats", [False, True])
def test_report_that_was_cut_off_is_finished_by_the_next(bench: Bench, had: str | None, repeats: bool) -> None:
    """The report is a new source, a later end, or a move; then it is sent again, or the provider reports the end."""
    external, now, step = bench.service.external_sources, bench.clock(), 0
    died = True
    while died:
        step += 1
        name = f"77-{step}"
        report = ExternalReport("print", name, "r-1", ANN, now)
        if had is not None:
            external.write_source(replace(report, reader=had), "supporter", int(now) + 60)
        died = report_cut_off(bench, report, int(now) + 600, step)
        later = replace(report, now=now + 120)
        bench.clock.now = now + 120
        if repeats:
            external.write_source(later, "supporter", int(now) + 600)
        else:
            with suppress(UnknownExternal):
                external.end_source(later)
        held = [row for row in running(bench) if row.startswith(f"{name},")]
        assert held == ([f"{name},r-1,supporter,"] if repeats else []), step
        entry = bench.service.provider_sources.find("print", name)
        assert entry is None or entry.is_running_at(bench.clock()) == repeats, step
        bench.clock.now = now
    assert step > 3
    assert bench.service.audit_verifier.verify().fault is None

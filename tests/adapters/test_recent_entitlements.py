"""Test the cache of recent entitlements: written later, shared by processes, complete at any time."""

from __future__ import annotations

import resource
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from service.adapters.recent_entitlements import RecentEntitlements

HELD = (("notebook", None), ("no_ads", 4_000_000_000))


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., RecentEntitlements]]:
    made: list[RecentEntitlements] = []

    def known(known_for: float = 86_400) -> RecentEntitlements:
        made.append(RecentEntitlements(tmp_path / "data", known_for, clock=time.time))
        return made[-1]

    yield known
    for one in made:
        one.close()


@contextmanager
def full_disk() -> Iterator[None]:
    """Refuse this process each write that would extend a file, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_noted_reader_is_found_at_any_time_during_the_write(
    make: Callable[..., RecentEntitlements], until: Callable[..., float]
) -> None:
    known, now = make(), time.time()
    readers = [b"reader%d" % number for number in range(30_000)]
    for reader in readers:
        known.note(reader, HELD, now)
    other = make()
    known.start()

    def written() -> bool:
        assert known.features(readers[0], now) == HELD
        assert known.features(readers[-1], now) == HELD
        return other.features(readers[-1], now) == HELD

    until(written)


def test_noted_reader_is_found_by_another_process_and_after_a_restart(make: Callable[..., RecentEntitlements]) -> None:
    known, now = make(), time.time()
    known.note(b"r", HELD, now)
    known.close()
    assert make().features(b"r", now) == HELD
    assert make().features(b"r", now + 86_400) == ()
    assert make().features(b"stranger", now) == ()


def test_forgotten_reader_does_not_return_by_a_late_write(make: Callable[..., RecentEntitlements]) -> None:
    here, there, now = make(), make(), time.time()
    for known in (here, there):
        known.note(b"r", HELD, now)
    here.forget_all([b"r"])
    there.close()
    assert here.features(b"r", now) == ()
    assert there.features(b"r", now) == ()
    later = time.time() + 1
    here.note(b"r", HELD, later)
    here.close()
    assert there.features(b"r", later) == HELD


def test_revocation_removes_a_reader_noted_at_the_same_moment(tmp_path: Path) -> None:
    known = RecentEntitlements(tmp_path / "data", 60, clock=lambda: 1_000.0)
    known.note(b"r", HELD, 1_000.0)
    known.close()
    assert known.features(b"r", 1_000.0) == HELD
    known.forget_all([b"r"])
    assert known.features(b"r", 1_000.0) == ()


def test_revocation_removes_a_reader_noted_before_the_clock_went_back(tmp_path: Path) -> None:
    moment = 10_000.0
    known = RecentEntitlements(tmp_path / "data", 86_400, clock=lambda: moment)
    known.note(b"r", HELD, moment)
    known.close()
    moment -= 3_600
    known.forget_all([b"r"])
    assert known.features(b"r", moment) == ()


def test_unwritable_folder_is_reported_and_readers_stay_known_in_memory(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    reports: list[Exception] = []
    known, now = RecentEntitlements(tmp_path / "data", 60, clock=time.time, on_error=reports.append), time.time()
    known.note(b"r", HELD, now)
    for _ in range(3):
        known.close()
        assert known.features(b"r", now) == HELD
    assert len(reports) == 1


def test_full_disk_keeps_readers_known(make: Callable[..., RecentEntitlements]) -> None:
    before, now = make(), time.time()
    before.note(b"r", HELD, now)
    before.close()
    with full_disk():
        restarted = make()
        assert restarted.features(b"r", now) == HELD
        restarted.note(b"new", HELD, now)
        restarted.close()
        assert restarted.features(b"new", now) == HELD
    restarted.close()
    assert make().features(b"new", now) == HELD


def test_revocation_reaches_the_file_that_a_full_disk_leaves_readable(
    make: Callable[..., RecentEntitlements], tmp_path: Path, until: Callable[..., float]
) -> None:
    before, known, now = make(), make(), time.time()
    before.note(b"r", HELD, now)
    before.close()
    known.start()
    known.forget_all([b"r"])

    def is_forgotten() -> object:
        uri = f"{(tmp_path / 'data' / 'known.sqlite3').as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(uri, uri=True)) as base:
            return base.execute("SELECT held FROM known WHERE reader = ?", (b"r",)).fetchone() == ("[]",)

    until(is_forgotten)


@pytest.mark.parametrize("mode", [None, 0o644])
def test_file_is_readable_by_its_owner_alone(
    make: Callable[..., RecentEntitlements], tmp_path: Path, mode: int | None
) -> None:
    path = tmp_path / "data" / "known.sqlite3"
    if mode is not None:
        path.parent.mkdir()
        path.touch(mode)
        path.chmod(mode)
    known = make()
    known.refresh({b"r": lambda: HELD})
    files = list(path.parent.iterdir())
    assert path in files
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}

"""Who was seen as entitled lately: written a moment later, found by every process, never missed on its way to the file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.adapters.recent_entitlements import Known

HELD = (("notebook", None), ("no_ads", 4_000_000_000))


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Known]]:
    made: list[Known] = []

    def known(known_for: float = 86_400) -> Known:
        made.append(Known(tmp_path / "data", known_for, clock=time.time))
        return made[-1]

    yield known
    for one in made:
        one.close()


def test_a_sighting_is_never_missed_on_its_way_to_the_file(
    make: Callable[..., Known], until: Callable[..., float]
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

    until(written, 20)


def test_another_process_finds_it_and_a_restart_does(make: Callable[..., Known]) -> None:
    known, now = make(), time.time()
    known.note(b"r", HELD, now)
    known.close()
    assert make().features(b"r", now) == HELD
    assert make().features(b"r", now + 86_400) == ()
    assert make().features(b"stranger", now) == ()


def test_what_was_forgotten_does_not_come_back_by_a_late_sighting(make: Callable[..., Known]) -> None:
    here, there, now = make(), make(), time.time()
    for known in (here, there):
        known.note(b"r", HELD, now)
    here.forget(b"r")
    there.close()
    assert here.features(b"r", now) == ()
    assert there.features(b"r", now) == ()
    later = time.time() + 1
    here.note(b"r", HELD, later)
    here.close()
    assert there.features(b"r", later) == HELD


def test_a_folder_that_cannot_be_written_is_told_and_what_was_seen_stays_known(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    told: list[Exception] = []
    known, now = Known(tmp_path / "data", 60, clock=time.time, on_error=told.append), time.time()
    known.note(b"r", HELD, now)
    known.close()
    assert told
    assert known.features(b"r", now) == HELD

"""The pages of a read that was cut off are there for the next one, as long as they are of the same and fresh."""

from __future__ import annotations

from pathlib import Path

from service.adapters.crypto import Sealer
from service.adapters.read_progress import VALID_FOR, ReadPage, ReadProgress

SEALER = Sealer(["secret-of-the-tests-0123456789abcdef"], "takeover")
PAGES = [ReadPage("sub_9", "sub_5", [("sub_7", "[]")]), ReadPage("sub_4", "sub_1", [])]


def _started(folder: Path) -> ReadProgress:
    progress = ReadProgress(folder / "data" / "read", lambda: SEALER)
    progress.start("this", 1_000)
    for page in PAGES:
        progress.add(page)
    return progress


def test_pages_of_the_same_read_are_kept_for_an_hour(tmp_path: Path) -> None:
    progress = _started(tmp_path)
    assert progress.load("this", 1_000 + VALID_FOR - 1) == PAGES
    assert progress.load("this", 1_000 + VALID_FOR) == []
    assert progress.load("this", 999) == []
    assert progress.load("other", 1_001) == []


def test_line_that_was_being_written_is_left_out(tmp_path: Path) -> None:
    progress = _started(tmp_path)
    progress.path.write_bytes(progress.path.read_bytes()[:-4])
    assert progress.load("this", 1_001) == PAGES[:1]


def test_only_the_owner_can_read_the_file_and_it_goes_when_all_is_read(tmp_path: Path) -> None:
    progress = _started(tmp_path)
    assert b"sub_" not in progress.path.read_bytes()
    assert progress.path.stat().st_mode & 0o777 == 0o600
    progress.discard()
    assert not progress.path.exists()
    assert progress.load("this", 1_001) == []


def test_file_that_is_something_else_is_ignored(tmp_path: Path) -> None:
    progress = ReadProgress(tmp_path / "read", lambda: SEALER)
    for content in (b"", b"\xff\n", b'["this", "soon"]\n'):
        progress.path.write_bytes(content)
        assert progress.load("this", 1_001) == []

"""Test the folder in which processes share their metrics."""

from __future__ import annotations

from pathlib import Path

from service.entrypoints.processes.metrics_folder import metrics_folder


def test_folder_is_removed_at_the_end_and_others_in_use_stay(tmp_path: Path) -> None:
    with metrics_folder(tmp_path) as first, metrics_folder(tmp_path) as second:
        assert first != second
        assert first.is_dir()
        assert (first.stat().st_mode & 0o777) == 0o700
    assert list(tmp_path.iterdir()) == []


def test_folder_of_a_killed_service_is_removed_by_the_next(tmp_path: Path) -> None:
    killed = tmp_path / "paywall-metrics-killed"
    killed.mkdir()
    (killed / "owner.lock").touch()
    (killed / "counter_1.db").touch()
    other = tmp_path / "paywall-metrics-of-another-release"
    other.mkdir()
    with metrics_folder(tmp_path):
        assert not killed.exists()
        assert other.exists()

"""The metrics of all processes as one page, which is rendered at most once a second, whoever asks for it and how often.

The processes share the page in a file of `PROMETHEUS_MULTIPROC_DIR`. To render it takes tens of milliseconds of a core,
and the route needs no key.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.registry import Collector

KEPT_FOR = 1.0
"""Seconds for which a rendered page is shown again."""
MOST_ENDED = 4
"""Ended processes whose counts have files of their own. Beyond, their counts are added up in one file."""


class SharedExposition:
    """Renders the metrics of all processes that share `folder`, and what `own` collects in this one."""

    def __init__(self, folder: Path, own: Collector) -> None:
        self._folder = folder
        self._page = folder / "page.txt"
        self._lock = threading.Lock()
        # The system removes a user's files in /dev/shm when they log out, also those of a service that still runs.
        folder.mkdir(mode=0o700, exist_ok=True)
        self._registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(self._registry, str(folder))  # type: ignore[no-untyped-call]  # the library leaves it untyped
        self._registry.register(own)

    def read(self) -> bytes:
        """Return the page, at most a second old; an older one while another process renders it."""
        with self._lock:
            page = self._kept(KEPT_FOR)
            return page if page is not None else self._render_once()

    def _kept(self, seconds: float) -> bytes | None:
        with suppress(FileNotFoundError):
            if 0 <= time.time() - self._page.stat().st_mtime < seconds:
                return self._page.read_bytes()
        return None

    def _render_once(self) -> bytes:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        with (self._folder / "page.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return self._kept(float("inf")) or self._render()
            for kind in ("counter", "histogram"):
                self._add_up_ended_processes(kind)
            page = self._render()
            unfinished = self._folder / "page.new"
            with suppress(OSError):  # The disk is full: the next request renders the page again.
                unfinished.write_bytes(page)
                unfinished.replace(self._page)
            return page

    def _render(self) -> bytes:
        self._drop_gauges_of_ended_processes()
        return generate_latest(self._registry)

    def _add_up_ended_processes(self, kind: str) -> None:
        """Keep memory and rendering small, however often processes are restarted. Only one process does this at a time."""
        ended = [file for file in self._folder.glob(f"{kind}_[0-9]*.db") if not _runs(_process_of(file))]
        if len(ended) <= MOST_ENDED:
            return
        archive, unfinished = self._folder / f"{kind}_archive.db", self._folder / "archive.new"
        counts: Counter[str] = Counter()
        for file in [*ended, *([archive] if archive.exists() else [])]:
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):  # type: ignore[no-untyped-call]  # as above
                counts[key] += value
        unfinished.unlink(missing_ok=True)
        kept = MmapedDict(str(unfinished))  # type: ignore[no-untyped-call]  # as above
        for key, value in counts.items():
            kept.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]  # as above
        kept.close()  # type: ignore[no-untyped-call]  # as above
        for file in ended:
            file.unlink()
        unfinished.replace(archive)

    def _drop_gauges_of_ended_processes(self) -> None:
        """Remove the gauges of processes that were killed; what they counted stays."""
        for file in self._folder.glob("gauge_live*_*.db"):
            process = _process_of(file)
            if not _runs(process):
                with suppress(FileNotFoundError):  # another process removed it at the same moment
                    multiprocess.mark_process_dead(process, str(self._folder))  # type: ignore[no-untyped-call]  # as above


def _process_of(file: Path) -> int:
    return int(file.stem.rpartition("_")[2])


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, PermissionError):  # it has ended, or its number is another user's process now
        return False
    return True

"""What operators see: one structured line a request, and Prometheus metrics that add up over processes.

Nothing here ever names a reader, a visitor, an e-mail address, a payload or a secret: routes are logged as their
patterns, and what a line holds is listed in `docs/operations.md`.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import MutableMapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


def _line(_: Any, level: str, event: MutableMapping[str, Any]) -> bytes:
    """One processor for all that a line needs: level, time, JSON."""
    now = time.time()
    event["level"] = level
    event["timestamp"] = f"{_second(int(now))}.{int(now * 1000) % 1000:03}Z"
    return orjson.dumps(event, default=str)


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


class _Lines:
    """Writes line after line, each at once. What nobody takes, a closed pipe or a full disk, is lost, and fails no request."""

    def __init__(self, stream: TextIO) -> None:
        # Unbuffered: what could not be written is not tried again at the interpreter's end, which would fail by it.
        self._write = getattr(stream.buffer, "raw", stream.buffer).write
        self._lock = threading.Lock()

    def msg(self, line: bytes) -> None:
        with self._lock, suppress(OSError, ValueError):
            self._write(line + b"\n")

    debug = info = warning = error = critical = log = msg


class _Retold(logging.Handler):
    """What the standard library's loggers are told, as a line like all others.

    Of other people's libraries it says only which one has a word: their messages may quote what was sent.
    """

    def emit(self, record: logging.LogRecord) -> None:
        ours = record.name.startswith("service.")
        fields = {name: value for name, value in vars(record).items() if ours and name not in _OF_EVERY_RECORD}
        if record.exc_info and (error := record.exc_info[1]):
            fields |= {"kind": type(error).__name__, "where": where(error)}
        event = str(record.msg) if ours else "library_said"
        log().log(record.levelno, event, logger=record.name, **fields)


_OF_EVERY_RECORD = {*vars(logging.makeLogRecord({})), "message", "asctime"}


def configure_logs(*, command: bool = False) -> None:
    """JSON lines: a service's on standard output; of a `command` only errors, on standard error."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed when this process began
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  as long as the process
    retold = _Retold(logging.ERROR if command else logging.WARNING)
    logging.basicConfig(handlers=[retold])  # does nothing where somebody, a test run, listens already
    structlog.configure(
        cache_logger_on_first_use=True,
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR if command else logging.INFO),
        processors=[_line],
        logger_factory=lambda *_: _Lines(sys.stderr if command else sys.stdout),
    )


def log() -> Any:
    """The logger: `log().info("event", field=value)`, a constant event name and identifiers as fields."""
    return structlog.get_logger()


def where(error: BaseException) -> list[str]:
    """Where an error was raised, without its message: messages may quote what was sent."""
    return [f"{frame.filename}:{frame.lineno}:{frame.name}" for frame in traceback.extract_tb(error.__traceback__)][-8:]


class Metrics:
    """The service's metrics. One a process; `PROMETHEUS_MULTIPROC_DIR` makes them add up over processes."""

    def __init__(self) -> None:
        shared = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        self.registry = CollectorRegistry()
        own = self.registry if not shared else None
        self.requests = Counter("paywall_requests", "Requests answered.", ["route", "method", "status"], registry=own)
        self.seconds = Histogram(
            "paywall_request_seconds", "Seconds to answer.", ["route"], buckets=BUCKETS, registry=own
        )
        self.decisions = Counter(
            "paywall_decisions", "Answers to /v1/access, by what was shown and why.", ["show", "reason"], registry=own
        )
        self.degraded = Counter("paywall_degraded", "Answers given while the store was away.", registry=own)
        self.outages = Counter("paywall_store_outages", "Times the store went away, by why.", ["why"], registry=own)
        self.store_up = Gauge(
            "paywall_store_up",
            "1 while the store can be reached, in the worst-off process.",
            registry=own,
            multiprocess_mode="livemin",
        )
        self.crashes = Counter("paywall_crashes", "Requests that failed unforeseen.", registry=own)
        self.webhooks = Counter("paywall_webhooks", "Deliveries from Stripe, by outcome.", ["outcome"], registry=own)
        self._shared = shared

    def exposition(self) -> bytes:
        """The metrics of all processes, in Prometheus' text format."""
        if not self._shared:
            return generate_latest(self.registry)
        _bury()
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library leaves it untyped
        return generate_latest(registry)


def _bury() -> None:
    """Takes out what processes that were killed last said of themselves; what they counted stays."""
    for file in Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]).glob("gauge_live*_*.db"):
        process = int(file.stem.rpartition("_")[2])
        if not _lives(process):
            with suppress(FileNotFoundError):  # another process, asked at the same moment, was quicker
                multiprocess.mark_process_dead(process)  # type: ignore[no-untyped-call]  # the library leaves it untyped


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, PermissionError):  # nobody's, or another user's by now
        return False
    return True

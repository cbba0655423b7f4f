"""Structured logs: one JSON line an event, with a constant event name and identifiers as fields; on a terminal, plain text.

No line names a reader, a visitor, an e-mail address, a payload or a secret: routes are logged as their patterns, and
`docs/how-to/operations.md` lists what a line holds.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache, partialmethod
from pathlib import Path
from typing import Any

import orjson

from service.domain.ids import escape_invisible


class Logger:
    """Writes an event at once as a line. A line that a closed pipe or a full disk refuses is lost, and fails no request."""

    def __init__(self) -> None:
        self.least, self.stream = logging.INFO, "stdout"

    def log(self, level: int, event: str, **fields: Any) -> None:
        """Log an event of a level of the standard library."""
        if level < self.least:
            return
        stream = getattr(sys, self.stream)
        # Unbuffered: the interpreter does not retry at its end what could not be written, which would fail.
        with suppress(OSError, ValueError):
            write = _readable if stream.isatty() else _line
            getattr(stream.buffer, "raw", stream.buffer).write(write(level, {**fields, "event": event}) + b"\n")

    info = partialmethod(log, logging.INFO)
    warning = partialmethod(log, logging.WARNING)
    error = partialmethod(log, logging.ERROR)


_LOGGER = Logger()


def log() -> Logger:
    """Return the logger: `log().info("event", field=value)`."""
    return _LOGGER


def where(error: BaseException) -> list[str]:
    """Return where an error was raised, without its message: a message may quote what was sent."""
    return [f"{frame.filename}:{frame.lineno}:{frame.name}" for frame in traceback.extract_tb(error.__traceback__)][-8:]


def configure_logs(*, command: bool = False) -> None:
    """Write JSON lines: a service's to standard output; of a `command` only errors, to standard error."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed when this process began
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  as long as the process
    handler = _StandardLibraryHandler(logging.ERROR if command else logging.WARNING)
    logging.basicConfig(handlers=[handler])  # does nothing where another handler, a test run's, is installed
    _LOGGER.least, _LOGGER.stream = (logging.ERROR, "stderr") if command else (logging.INFO, "stdout")


LINES_TOGETHER = 12
"""Lines of `log_together` in one write: a pipe takes 4 KiB at once, and mixes longer writes of several processes."""


def log_together(event: str, lines: Sequence[tuple[float, dict[str, Any]]]) -> None:
    """Log many events of one name: each is its moment (epoch seconds) and its fields.

    The name, the level and the timestamp are added to these fields, so that a caller must not use them again.
    """
    for start in range(0, len(lines), LINES_TOGETHER):
        log().info(event, together=lines[start : start + LINES_TOGETHER])


def _line(number: int, event: dict[str, Any]) -> bytes:
    """Add level and time, and encode."""
    together, level = event.pop("together", None), logging.getLevelName(number).lower()
    if together is None:
        return _encoded(level, time.time(), event)
    for _, fields in together:
        fields.update(event)
    return b"\n".join([_encoded(level, at, fields) for at, fields in together])


def _readable(number: int, event: dict[str, Any]) -> bytes:
    """Return an event as text for a terminal: its time, name and fields."""
    return b"\n".join(_as_text(orjson.loads(line)) for line in _line(number, event).split(b"\n"))


def _as_text(event: dict[str, Any]) -> bytes:
    at, name, level = event.pop("timestamp")[11:19], event.pop("event"), event.pop("level")
    loud = f"{level.upper()} " if level != "info" else ""
    text = " ".join([at, f"{loud}{name}", *(f"{field}={value}" for field, value in event.items())])
    return escape_invisible(text).encode()


def _encoded(level: str, now: float, event: dict[str, Any]) -> bytes:
    event["level"] = level
    event["timestamp"] = _timestamp(int(now * 1000))
    return orjson.dumps(event, default=str)


@lru_cache(maxsize=4)
def _timestamp(milliseconds: int) -> str:
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03}Z"


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


class _StandardLibraryHandler(logging.Handler):
    """Writes records of the standard library's loggers as lines like all others.

    Of a third-party library it logs only the logger's name: its messages may quote what was sent.
    """

    def emit(self, record: logging.LogRecord) -> None:
        ours = record.name.startswith("service.")
        fields = {name: value for name, value in vars(record).items() if ours and name not in _OF_EVERY_RECORD}
        if record.exc_info and (error := record.exc_info[1]):
            fields |= {"kind": type(error).__name__, "where": where(error)}
        event = str(record.msg) if ours else "library_said"
        log().log(record.levelno, event, logger=record.name, **fields)


_OF_EVERY_RECORD = {*vars(logging.makeLogRecord({})), "message", "asctime"}


# ------------------------------------------------------------------- reports that adapters and use cases take as callbacks


def report_stripe_trouble(what: str, why: str) -> None:
    """Log that a request to Stripe failed; both arguments are constant words."""
    log().warning("stripe_trouble", what=what, why=why)


def report_worker_trouble(what: str, why: str) -> None:
    """Log what the worker could not do; both arguments are constant words."""
    log().warning("worker_trouble", what=what, why=why)


def report_foreign_audit_entries(count: int) -> None:
    """Log that an outbox held entries that this service did not write."""
    log().error("audit_entries_not_ours", count=count)


def report_broken_audit_chain(seq: int) -> None:
    """Log that the audit chain does not verify, with the number of the first record at fault."""
    log().error("audit_chain_broken", first_bad=seq)


def report_failed_import(event: str, error: Exception) -> None:
    """Log that an import failed; the next round tries it again."""
    log().error(event, error=type(error).__name__, where=where(error))


def report_unwritten_entitlements(error: Exception) -> None:
    """Log that the cache of recent entitlements could not be written."""
    log().error("known_readers_unwritten", error=type(error).__name__)

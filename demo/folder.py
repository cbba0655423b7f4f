"""The demo's folder, `PAYWALL_DATA`: empty when a demo begins, its own while it runs, and gone when it has ended.

It is known as a demo's by a file in it, which a running demo has locked. A folder that holds anything else is left alone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from service.adapters.clock import DEMO_MARK
from service.adapters.redis.embedded.folder_lock import FolderLock, in_use_message, read_owner
from service.adapters.redis.embedded.valkey import end_orphan
from service.entrypoints.processes.lifecycle import ShutdownSignal
from service.entrypoints.processes.listening import CannotServe

_PATIENCE = 10.0
"""Seconds that the service of a killed demo has to notice, and a command to finish."""
_KEPT = {DEMO_MARK, "owner"}  # whoever waits for a lock on these must find the same files


@contextmanager
def taken(folder: Path) -> Iterator[None]:
    """The folder for the length of a demo. Raises `CannotServe`. After a failure it stays, with the log in it."""
    if folder.exists() and any(folder.iterdir()) and not (folder / DEMO_MARK).exists():
        held = f"{folder.absolute()} holds a service's data, and the demo begins afresh"
        raise CannotServe(f"{held}: set PAYWALL_DATA to another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        mark = os.open(folder / DEMO_MARK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CannotServe(f"PAYWALL_DATA: {folder}: {error.strerror}") from None
    try:
        _lock(folder, mark)
        _empty(folder)
        yield
        _clear(folder, keep=set())
        with suppress(OSError):
            folder.rmdir()
    finally:
        os.close(mark)


@contextmanager
def alone(ended: ShutdownSignal) -> Iterator[None]:
    """The only demo of this user on this machine that is about to listen: of two at once both would find a port free.

    Waits for another to be ready, no longer than until `ended`.
    """
    lock = os.open(Path(tempfile.gettempdir()) / f"paywall-demo-{os.getuid()}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _locked(lock) and not ended.wait(0.05):
            pass
        yield
    finally:
        os.close(lock)


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock(folder: Path, mark: int) -> None:
    if not _locked(mark):
        other = f"{folder.absolute()}: another `paywall demo` is running there"
        raise CannotServe(f"{other}: end it, or set PAYWALL_DATA to another folder for this one")
    os.ftruncate(mark, 0)
    os.pwrite(mark, b"Made by `paywall demo`, which clears this folder when it starts and when it ends.\n", 0)


def _empty(folder: Path) -> None:
    """Clears what an earlier demo left, once nobody works in it any more."""
    owner = FolderLock(folder.absolute(), "command")
    deadline = time.monotonic() + _PATIENCE
    while not owner.try_acquire():
        if time.monotonic() > deadline:
            raise CannotServe(in_use_message(folder, read_owner(folder)))
        time.sleep(0.05)
    try:
        end_orphan(folder / "store" / "pid")
        _clear(folder, keep=_KEPT)
    finally:
        owner.release()


def _clear(folder: Path, keep: set[str]) -> None:
    for entry in folder.iterdir():
        if entry.name in keep:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)

"""The demo's folder, `PAYWALL_DATA`: emptied at the start, used by one demo at a time, and removed at the end.

A file in it marks it as a demo's folder, and a running demo holds a lock on this file. The demo never touches a folder with
other data.
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

_RELEASE_SECONDS = 10.0
"""How long the service of a killed demo, or a running command, has to release the folder."""
_LOCK_FILES = {DEMO_MARK, "owner"}  # never replaced, since other processes may wait for their locks


@contextmanager
def demo_folder(folder: Path) -> Iterator[None]:
    """Lock and empty the folder, and remove it after the block. After a failure it stays, with the log in it.

    Raises: `CannotServe` if the folder has other data, can't be written, or belongs to a running demo.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / DEMO_MARK).exists():
        found = f"{folder.absolute()} has the data of a service, and the demo needs an empty folder"
        raise CannotServe(f"{found}: set PAYWALL_DATA to another folder")
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
def start_lock(shutdown: ShutdownSignal) -> Iterator[None]:
    """Let only one demo of this user start at a time: two at once could choose the same free port.

    Wait until the other demo is ready, or until `shutdown`.
    """
    lock = os.open(Path(tempfile.gettempdir()) / f"paywall-demo-{os.getuid()}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _try_lock(lock) and not shutdown.wait(0.05):
            pass
        yield
    finally:
        os.close(lock)


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock(folder: Path, mark: int) -> None:
    if not _try_lock(mark):
        other = f"{folder.absolute()}: another `paywall demo` uses this folder"
        raise CannotServe(f"{other}. Stop it, or set PAYWALL_DATA to another folder")
    os.ftruncate(mark, 0)
    os.pwrite(mark, b"Created by `paywall demo`, which empties this folder when it starts and when it ends.\n", 0)


def _empty(folder: Path) -> None:
    """Remove what an earlier demo left, once no process uses the folder any more."""
    owner = FolderLock(folder.absolute(), "command")
    deadline = time.monotonic() + _RELEASE_SECONDS
    while not owner.try_acquire():
        if time.monotonic() > deadline:
            raise CannotServe(in_use_message(folder, read_owner(folder)))
        time.sleep(0.05)
    try:
        end_orphan(folder / "store" / "pid")
        _clear(folder, keep=_LOCK_FILES)
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

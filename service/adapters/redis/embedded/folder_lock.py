"""Ownership of `PAYWALL_DATA`: one process at a time, by a lock that the kernel releases however the process ends.

The lock is on `PAYWALL_DATA/owner`, which also describes the owner: `{"pid", "kind", "url"}`, with `kind` serve or command, and
`url` once the store responds there. The file stays: if it were removed, two processes could lock two files.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from service.adapters.redis.client.errors import EmbeddedStoreError, FolderInUse

Kind = Literal["serve", "command"]

_PAUSE = 0.02  # seconds between two tries for the lock
_UNNAMED = 1.0  # seconds for an owner to write its description after it has acquired the lock


@dataclass(frozen=True)
class FolderOwner:
    """The owner of a folder, as far as it has written its description: pid 0 before that."""

    pid: int = 0
    kind: str = ""
    url: str = ""


class FolderLock:
    """The lock on a folder, held from `acquire` until `release` or the end of the process."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self.folder = folder
        self.kind = kind
        self._fd = -1

    def try_acquire(self) -> bool:
        """Acquire the lock if it is free. Raises: EmbeddedStoreError if the folder cannot be written."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self.folder / "owner", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise EmbeddedStoreError(f"PAYWALL_DATA: {self.folder} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except OSError as error:  # a network disk without locks
            os.close(fd)
            raise EmbeddedStoreError(f"PAYWALL_DATA: {self.folder} cannot be locked: {error.strerror}") from None
        self._fd = fd
        _HELD.add(self)
        self.write_owner("")
        return True

    def acquire(self, seconds: float) -> None:
        """Acquire the lock; wait so long (seconds) for a command to finish, but not for another `serve`.

        Raises: FolderInUse.
        """
        begun = time.monotonic()
        while not self.try_acquire():
            owner, waited = read_owner(self.folder), time.monotonic() - begun
            if waited > seconds or owner.kind == "serve" or (not owner.pid and waited > _UNNAMED):
                raise FolderInUse(in_use_message(self.folder, owner))
            time.sleep(_PAUSE)

    def write_owner(self, url: str) -> None:
        """Write this process's description and the store's address to the file.

        Raises: EmbeddedStoreError, as on a full disk.
        """
        owner = json.dumps({"pid": os.getpid(), "kind": self.kind, "url": url}).encode()
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, owner, 0)
        except OSError as error:
            raise EmbeddedStoreError(f"PAYWALL_DATA: {self.folder} cannot be written: {error.strerror}") from None

    def release(self) -> None:
        """Release the lock. Safe to call twice."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
        self.close()

    def close(self) -> None:
        """Close this process's copy of the lock; in a forked child the parent's stays in force."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        _HELD.discard(self)


def read_owner(folder: Path) -> FolderOwner:
    """Return the description in the owner's file. It is true only while a process holds the lock."""
    try:
        owner = json.loads((folder / "owner").read_bytes())
        return FolderOwner(int(owner["pid"]), str(owner["kind"]), str(owner["url"]))
    except (OSError, ValueError, KeyError, TypeError):
        return FolderOwner()


def in_use_message(folder: Path, owner: FolderOwner) -> str:
    """Return the sentence that names the owner of a folder."""
    who = {"serve": "a running `paywall serve`", "command": "a running `paywall` command"}.get(
        owner.kind, "another process"
    )
    return f"PAYWALL_DATA: {folder} is in use by {who}" + (f" (process {owner.pid})" if owner.pid else "")


_HELD: weakref.WeakSet[FolderLock] = weakref.WeakSet()


def _close_after_fork() -> None:
    for held in list(_HELD):
        held.close()


os.register_at_fork(after_in_child=_close_after_fork)

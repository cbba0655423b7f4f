"""Who owns `PAYWALL_DATA`: one process at a time, by a lock that the kernel lets go of however that process ends.

The lock is on `PAYWALL_DATA/owner`, which also says who holds it: `{"pid", "kind", "url"}`, `kind` serve or command,
`url` as soon as the store answers there. The file stays; to remove it would let two processes lock two files.
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
_UNNAMED = 1.0  # seconds that an owner has to write its name after taking the lock


@dataclass(frozen=True)
class FolderOwner:
    """Who holds a folder, as far as it has said: pid 0 while it has not."""

    pid: int = 0
    kind: str = ""
    url: str = ""


class FolderLock:
    """The lock on a folder, held from `take` until `release` or the end of the process."""

    def __init__(self, folder: Path, kind: Kind) -> None:
        self.folder = folder
        self.kind = kind
        self._fd = -1

    def try_acquire(self) -> bool:
        """Take the lock if it is free. Raises EmbeddedStoreError where the folder cannot be written."""
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
        """Take the lock; wait so long for a command to finish, but not for another `serve`. Raises FolderInUse."""
        begun = time.monotonic()
        while not self.try_acquire():
            owner, waited = read_owner(self.folder), time.monotonic() - begun
            if waited > seconds or owner.kind == "serve" or (not owner.pid and waited > _UNNAMED):
                raise FolderInUse(in_use_message(self.folder, owner))
            time.sleep(_PAUSE)

    def write_owner(self, url: str) -> None:
        """Say in the file who we are and where the store answers. Raises EmbeddedStoreError, as on a full disk."""
        said = json.dumps({"pid": os.getpid(), "kind": self.kind, "url": url}).encode()
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, said, 0)
        except OSError as error:
            raise EmbeddedStoreError(f"PAYWALL_DATA: {self.folder} cannot be written: {error.strerror}") from None

    def release(self) -> None:
        """Let go. Safe to call twice."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
        self.close()

    def close(self) -> None:
        """Close our copy of the lock; in a forked child that leaves the parent's in force."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        _HELD.discard(self)


def read_owner(folder: Path) -> FolderOwner:
    """What the owner's file says. It holds true only while somebody has the lock."""
    try:
        said = json.loads((folder / "owner").read_bytes())
        return FolderOwner(int(said["pid"]), str(said["kind"]), str(said["url"]))
    except (OSError, ValueError, KeyError, TypeError):
        return FolderOwner()


def in_use_message(folder: Path, owner: FolderOwner) -> str:
    who = {"serve": "a running `paywall serve`", "command": "a running `paywall` command"}.get(
        owner.kind, "another process"
    )
    return f"PAYWALL_DATA: {folder} is in use by {who}" + (f" (process {owner.pid})" if owner.pid else "")


_HELD: weakref.WeakSet[FolderLock] = weakref.WeakSet()


def _forked() -> None:
    for held in list(_HELD):
        held.close()


os.register_at_fork(after_in_child=_forked)

"""The folder in which the processes of a `serve` share their metrics, in memory where the system has `/dev/shm`.

The processes map its files. A process cannot start where it cannot write them, as on a disk that is full.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

IN_MEMORY = Path("/dev/shm")  # noqa: S108 - no other user can write to the folder that is made in it
_PREFIX = "paywall-metrics-"
_OWNER = "owner.lock"


@contextmanager
def metrics_folder(root: Path | None = None) -> Iterator[Path]:
    """Yield a new folder, which is removed at the end. Folders of services that were killed are removed first."""
    if root is None:
        root = IN_MEMORY if os.access(IN_MEMORY, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    _remove_abandoned(root)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=root))
    with (folder / _OWNER).open("w") as owner:
        os.register_at_fork(after_in_child=owner.close)  # A fork that outlives this process would keep its lock.
        fcntl.flock(owner, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(root: Path) -> None:
    for lock in root.glob(f"{_PREFIX}*/{_OWNER}"):
        with suppress(OSError), lock.open("r+") as owner:  # Another user's, or in use: it stays.
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)

"""The embedded store: a Valkey process on a unix socket, with its data and append-only file in `PAYWALL_DATA/store`.

Its settings are those of `config/valkey.conf`: a reply means "on disk", and nothing is evicted. It has no TCP port, and its
folder and socket belong to this user alone. It runs in a session of its own, so that Ctrl-C reaches it only through this
process, after open requests are answered. On Linux the kernel ends it if this process is killed. On other systems the next
owner of the folder ends it.
"""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from service.adapters.redis.client.errors import EmbeddedStoreError, FolderInUse
from service.adapters.redis.embedded.folder_lock import FolderLock, Kind, in_use_message, read_owner
from service.adapters.redis.embedded.valkey import (
    command_line,
    end_orphan,
    responds,
    rotate_log,
    server_environment,
    socket_path,
)

_log = logging.getLogger(__name__)

# A service has ten seconds to stop, most of them for open requests; what was answered is on disk already.
_STOP_SECONDS = {"serve": 1.5, "command": 5.0}
_PATIENCE = {"serve": 1.5, "command": 60.0}  # a service answers degraded while a large store loads; a command waits
_WAIT = {"serve": 10.0, "command": 30.0}  # for another process's command to finish
_POLL = 0.005
_LONG_RUN = 10.0  # seconds after which the end of the server is not counted as a failed start

_SPAWNING = threading.Lock()
"""Held while the server's process is started: no other thread forks this process meanwhile.

Such a fork would keep open the pipe whose end is `Popen`'s sign that the server runs. `Popen` would wait for the end of the
fork, which is a web server, and until then the store would not be started again when it dies.
"""
os.register_at_fork(before=_SPAWNING.acquire, after_in_parent=_SPAWNING.release, after_in_child=_SPAWNING.release)


class EmbeddedStore:
    """An embedded store in a folder, from `start` to `stop`, with one owner at a time.

    Start it on a thread that lives as long as the store should (the main thread): Linux ends it with that thread.
    `memory` is its `maxmemory` in bytes; `None` is a share of the machine's.
    Raises: EmbeddedStoreError with a sentence for the operator.
    """

    def __init__(self, folder: Path, *, kind: Kind = "serve", memory: int | None = None) -> None:
        self.folder = folder.absolute()
        self._kind: Kind = kind
        self._memory = memory
        self._home = self.folder / "store"
        self.owner = FolderLock(self.folder, kind)
        self._lock = threading.Lock()  # no server is started once `stop` has begun
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._ending = threading.Event()
        self._socket = ""

    def start(self) -> str:
        """Acquire the folder, start the server, and return its address: `unix:///…`.

        Returns when the store responds or, for a service, after 1.5 s while it still loads. Raises: FolderInUse.
        """
        self.owner.acquire(_WAIT[self._kind])
        return self.begin()

    def begin(self) -> str:
        """Start the server for a process that owns the folder already."""
        self._ending.clear()
        try:
            self._home.mkdir(mode=0o700, exist_ok=True)
            end_orphan(self._home / "pid")
            rotate_log(self._home / "log")
            self._socket = socket_path(self._home)
            self._process = self._spawn()
            self._await_answer()
        except OSError as error:
            self.stop()
            raise EmbeddedStoreError(f"PAYWALL_DATA: {self.folder}: {error.strerror}") from None
        except BaseException:
            self.stop()
            raise
        url = f"unix://{quote(self._socket)}"
        self.owner.write_owner(url)
        return url

    def stop(self) -> None:
        """Stop the server, with everything on disk, and release the folder. Safe to call twice."""
        self._ending.set()
        with self._lock:
            process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS[self._kind])
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._watcher is not None:
            self._watcher.join(_STOP_SECONDS[self._kind])
        self.owner.release()

    def watch(self) -> None:
        """Start the server again whenever it dies. Returns at once."""
        self._watcher = threading.Thread(target=self._watch, name="embedded-store", daemon=True)
        self._watcher.start()

    def _spawn(self) -> subprocess.Popen[bytes]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        with _SPAWNING, os.fdopen(os.open(self._home / "log", flags, 0o600), "ab") as log:
            return subprocess.Popen(  # noqa: S603  our own binary, our own arguments
                command_line(self._home, self._socket, self._memory),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home,
                start_new_session=True,
                env=server_environment(),
                umask=0o077,
            )

    def _await_answer(self) -> None:
        process, deadline = self._process, time.monotonic() + _PATIENCE[self._kind]
        while process is not None and time.monotonic() < deadline:
            if process.poll() is not None:
                raise EmbeddedStoreError(self._end_message(process.returncode))
            if responds(self._socket):
                return
            time.sleep(_POLL)
        if self._kind == "command":
            raise EmbeddedStoreError(
                f"PAYWALL_DATA: {self.folder}: the store does not answer; see {self._home / 'log'}"
            )

    def _end_message(self, status: int) -> str:
        try:
            last = (self._home / "log").read_text(errors="replace").splitlines()[-3:]
        except OSError:
            last = []
        ended = f"PAYWALL_DATA: {self.folder}: the store ended with status {status}"
        return f"{ended}; {self._home / 'log'} ends: {' / '.join(last)}"

    def _watch(self) -> None:
        pause = 0.05
        while self._process is not None and not self._ending.is_set():
            born = time.monotonic()
            status = self._process.wait()
            if self._ending.is_set():
                return
            _log.warning("embedded_store_died", extra={"status": status})
            pause = 0.05 if time.monotonic() - born > _LONG_RUN else min(pause * 2, 5.0)
            if self._ending.wait(pause):
                return
            with self._lock:
                if self._ending.is_set():
                    return
                try:
                    self._process = self._spawn()
                except (OSError, EmbeddedStoreError):
                    _log.exception("embedded_store_not_started")


@contextmanager
def joined_store(folder: Path, memory: int | None = None) -> Iterator[str]:
    """Yield the address of the folder's store for a command: the running `serve`'s, or one started for it.

    Waits for another command to finish, and for a `serve` whose store is still loading. Raises: EmbeddedStoreError.
    """
    store = EmbeddedStore(folder, kind="command", memory=memory)
    deadline = time.monotonic() + _WAIT["command"]
    while not store.owner.try_acquire():
        owner = read_owner(store.folder)
        if owner.kind == "serve" and owner.url and responds(unquote(owner.url.removeprefix("unix://"))):
            yield owner.url
            return
        if time.monotonic() > deadline:
            raise FolderInUse(
                in_use_message(store.folder, owner) + ", and its store does not answer" * (owner.kind == "serve")
            )
        time.sleep(_POLL)
    try:
        yield store.begin()
    finally:
        store.stop()

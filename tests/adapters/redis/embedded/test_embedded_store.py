"""Test the embedded store: one owner, no loss after crashes, no leftover processes, shared by commands."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.adapters.redis.client.errors import EmbeddedStoreError, FolderInUse
from service.adapters.redis.embedded import valkey
from service.adapters.redis.embedded.embedded_store import EmbeddedStore, joined_store
from service.adapters.redis.embedded.folder_lock import FolderLock, read_owner
from tests.running_service import is_running

pytestmark = pytest.mark.full

Start = Callable[..., EmbeddedStore]
ROOT = Path(__file__).parents[4]


@pytest.fixture
def folder(short_folder: Path) -> Path:
    """Return the path of a folder that is not there yet."""
    return Path(tempfile.mkdtemp(dir=short_folder)) / "data"


def server_of(folder: Path) -> int:
    """Return the process of a folder's store, or 0 while a new one is about to write its ID."""
    return int((folder / "store" / "pid").read_text() or 0)


@pytest.fixture
def stores() -> Iterator[Start]:
    """Make embedded stores that stop after the test."""
    made: list[EmbeddedStore] = []

    def store(folder: Path, **options: Any) -> EmbeddedStore:
        made.append(EmbeddedStore(folder, **options))
        return made[-1]

    yield store
    for one in made:
        one.stop()


@pytest.fixture
def owner_process() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Start a process that owns a folder's store until killed; it prints the URL and the server's PID."""
    running: list[subprocess.Popen[str]] = []
    code = """if True:
        import sys
        from pathlib import Path
        from service.adapters.redis.embedded.embedded_store import EmbeddedStore
        store = EmbeddedStore(Path(sys.argv[1]))
        print(store.start(), (store.folder / "store" / "pid").read_text(), flush=True)
        sys.stdin.read()
        store.stop()
    """

    def run(folder: Path, **env: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, str(folder)]
        pipe = subprocess.PIPE
        running.append(
            subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env={**os.environ, **env})
        )
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.communicate()


# Python 3.12 and later warn of what these tests are about.
FORKS_A_THREADED_PROCESS = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's leash, and /proc, are Linux")


def test_embedded_store_confirms_writes_only_on_disk(stores: Start, folder: Path, connect: Any) -> None:
    link = connect(stores(folder).start())
    assert link.wait(60)
    for name, value in valkey.SETTINGS.items():
        assert link.call(b"", "CONFIG", "GET", name)[1].decode() == value
    assert link.call(b"", "CONFIG", "GET", "port")[1] == b"0"


def test_shipped_valkey_conf_equals_the_embedded_settings() -> None:
    text = (ROOT / "config" / "valkey.conf").read_text()
    said = dict(re.findall(r'^([a-z-]+) "?([^"\n]*)"?$', text, re.MULTILINE))
    assert re.fullmatch(r"\d+mb", said.pop("maxmemory")), "the memory depends on the machine"
    assert said == valkey.SETTINGS


@pytest.mark.parametrize("memory", [None, 32 * 2**20])
def test_embedded_store_has_a_memory_limit(stores: Start, folder: Path, connect: Any, memory: int | None) -> None:
    link = connect(stores(folder, memory=memory).start())
    assert link.wait(60)
    assert link.memory().limit == (memory or valkey.default_memory())


def test_default_memory_is_a_share_of_what_the_machine_or_its_control_group_has() -> None:
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 64 * 2**20 <= valkey.default_memory() <= max(physical // 4, 64 * 2**20)


def test_folder_and_socket_are_private(stores: Start, folder: Path) -> None:
    stores(folder).start()
    for path in (folder, folder / "store", folder / "store" / "socket"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "owner").stat().st_mode) == 0o600


def test_files_of_the_server_are_private(stores: Start, folder: Path, connect: Any) -> None:
    connect(stores(folder).start()).call(b"k", b"SET", b"k", b"v")
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"appendonly.aof.manifest", "log", "owner"} <= {path.name for path in files}
    assert [path for path in files if path.stat().st_mode & 0o077] == []


@linux
def test_server_inherits_no_secrets(folder: Path, owner_process: Any) -> None:
    owner = owner_process(folder, PAYWALL_SECRETS="a-secret-of-the-service", STRIPE_API_KEY="sk_test_1")
    pid = int(owner.stdout.readline().split()[1])
    names = {line.partition(b"=")[0] for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if line}
    assert names <= {name.encode() for name in valkey.server_environment()}
    assert b"PAYWALL_SECRETS" not in names


def test_data_survives_a_restart(stores: Start, folder: Path, connect: Any) -> None:
    first = stores(folder)
    assert connect(first.start()).call(b"k", "SET", "k", "kept") == b"OK"
    pid = server_of(folder)
    first.stop()
    first.stop()
    assert not is_running(pid)
    assert connect(first.start()).call(b"k", "GET", "k") == b"kept"
    first.stop()
    assert connect(stores(folder).start()).call(b"k", "GET", "k") == b"kept"


def test_second_owner_is_refused_with_folder_and_process(stores: Start, folder: Path) -> None:
    stores(folder).start()
    with pytest.raises(FolderInUse, match=rf"PAYWALL_DATA: {folder}.*process {os.getpid()}"):
        stores(folder).start()


def test_killed_server_is_restarted_with_all_confirmed_writes(
    stores: Start, folder: Path, connect: Any, until: Any
) -> None:
    store = stores(folder)
    link = connect(store.start())
    assert link.wait(60)
    store.watch()
    for number in range(1, 4):
        assert link.call(b"n", "INCR", "n") == number
        died = server_of(folder)
        os.kill(died, signal.SIGKILL)
        until(lambda died=died: server_of(folder) not in (0, died))
        until(lambda: link.ready())
    assert link.call(b"n", "GET", "n") == b"3"


def test_stopped_server_stays_stopped(stores: Start, folder: Path) -> None:
    store = stores(folder)
    store.start()
    store.watch()
    pid = server_of(folder)
    store.stop()
    assert not is_running(pid)
    assert not any(thread.name == "embedded-store" for thread in threading.enumerate())


@pytest.mark.parametrize("cut", [1, 7])
def test_append_only_file_truncated_by_a_crash_loads(stores: Start, folder: Path, connect: Any, cut: int) -> None:
    store = stores(folder)
    link = connect(store.start())
    link.pipeline([(b"k", ("SET", "k", "kept")), (b"n", ("SET", "n", "torn"))])
    os.kill(server_of(folder), signal.SIGKILL)
    store.stop()
    (file,) = (folder / "store" / "appendonlydir").glob("*.incr.aof")
    file.write_bytes(file.read_bytes()[:-cut])
    assert connect(stores(folder).start()).pipeline([(b"k", ("GET", "k")), (b"n", ("GET", "n"))]) == [b"kept", None]


def test_hanging_server_does_not_delay_the_stop(stores: Start, folder: Path, connect: Any) -> None:
    store = stores(folder)
    assert connect(store.start()).call(b"k", "SET", "k", "kept") == b"OK"
    store.watch()
    os.kill(server_of(folder), signal.SIGSTOP)
    begun = time.monotonic()
    store.stop()
    assert time.monotonic() - begun < 6, "requests under way may have taken seven seconds of the ten"
    assert connect(store.start()).call(b"k", "GET", "k") == b"kept"


def test_damaged_file_is_reported_with_the_log_to_read(stores: Start, folder: Path) -> None:
    store = stores(folder)
    store.start()
    store.stop()
    (file,) = (folder / "store" / "appendonlydir").glob("*.base.rdb")
    file.write_bytes(b"nonsense" * 20)
    with pytest.raises(EmbeddedStoreError, match=rf"{folder}.*log.* ends: "):
        store.start()
    assert FolderLock(folder, "serve").try_acquire(), "the folder is free again"


@linux
def test_server_ends_with_a_killed_owner(owner_process: Any, folder: Path, until: Any) -> None:
    owner = owner_process(folder)
    pid = int(owner.stdout.readline().split()[1])
    assert is_running(pid)
    owner.kill()
    until(lambda: not is_running(pid))


@linux
def test_store_of_a_killed_owner_is_taken_over_completely(
    owner_process: Any, stores: Start, folder: Path, connect: Any
) -> None:
    owner = owner_process(folder)
    url, pid = owner.stdout.readline().split()
    assert connect(url).call(b"k", "SET", "k", "kept") == b"OK"
    os.kill(int(pid), signal.SIGSTOP)  # a hanging server does not end by itself
    owner.kill()
    owner.wait()
    assert is_running(int(pid))
    assert connect(stores(folder).start()).call(b"k", "GET", "k") == b"kept"
    assert not is_running(int(pid))


def test_other_process_with_the_recorded_pid_is_not_touched(stores: Start, folder: Path) -> None:
    with subprocess.Popen(["sleep", "100"]) as innocent:
        (folder / "store").mkdir(parents=True)
        (folder / "store" / "pid").write_text(str(innocent.pid))
        stores(folder).start()
        assert innocent.poll() is None
        innocent.kill()


@pytest.mark.parametrize("said", ["", "x", "-1", "0", "99999999"])
def test_invalid_pid_file_is_ignored(stores: Start, folder: Path, said: str) -> None:
    (folder / "store").mkdir(parents=True)
    (folder / "store" / "pid").write_text(said)
    stores(folder).start()


def test_command_joins_the_running_service(owner_process: Any, folder: Path, connect: Any) -> None:
    owner = owner_process(folder)
    url = owner.stdout.readline().split()[0]
    with joined_store(folder) as theirs, joined_store(folder) as again:
        assert theirs == again == url
    assert connect(url).call(b"k", "SET", "k", "still there") == b"OK"


def test_command_alone_starts_the_store_while_it_runs(folder: Path, connect: Any) -> None:
    for number in (1, 2):
        with joined_store(folder) as url:
            assert connect(url).call(b"n", "INCR", "n") == number
            assert read_owner(folder).kind == "command"
        assert not valkey.responds(url.removeprefix("unix://"))
    assert read_owner(folder).pid == 0


def test_concurrent_commands_wait_for_each_other(folder: Path, connect: Any) -> None:
    failures: list[BaseException] = []

    def command() -> None:
        try:
            with joined_store(folder) as url:
                link = connect(url)
                assert link.wait(60)
                link.call(b"n", "INCR", "n")
                link.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=command) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with joined_store(folder) as url:
        assert connect(url).call(b"n", "GET", "n") == b"4"


def test_service_waits_for_a_running_command(stores: Start, folder: Path, until: Any) -> None:
    service = stores(folder)
    with joined_store(folder):
        begun = threading.Thread(target=lambda: service.owner.acquire(5))
        begun.start()
        assert read_owner(folder).kind == "command"
        assert begun.is_alive()
    begun.join()
    assert read_owner(folder).kind == "serve"


def test_path_too_long_for_a_socket_gets_a_shorter_one(stores: Start, short_folder: Path, connect: Any) -> None:
    deep = short_folder / ("d" * 60) / ("e f%20" * 10)
    store = stores(deep)
    url = store.start()
    assert len(url) < 120
    assert str(deep) not in url
    assert stat.S_IMODE(Path(url.removeprefix("unix://")).parent.stat().st_mode) == 0o700
    assert connect(url).call(b"k", "SET", "k", "kept") == b"OK"
    with joined_store(deep) as theirs:
        assert theirs == url
    store.stop()
    assert connect(store.start()).call(b"k", "GET", "k") == b"kept"


def test_folder_name_with_spaces_and_special_characters_works(stores: Start, short_folder: Path, connect: Any) -> None:
    folder = short_folder / "a b'c\"d%e#é?"
    store = stores(folder)
    assert connect(store.start()).call(b"k", "SET", "k", "kept") == b"OK"
    store.stop()
    assert connect(store.start()).call(b"k", "GET", "k") == b"kept"


def test_folder_that_cannot_be_created_is_reported(stores: Start, folder: Path) -> None:
    folder.touch()
    with pytest.raises(EmbeddedStoreError, match=rf"PAYWALL_DATA: {folder} cannot be written"):
        stores(folder).start()


def test_folder_on_a_full_disk_is_reported(folder: Path) -> None:
    code = """if True:
        import resource, sys
        from pathlib import Path
        from service.adapters.redis.embedded.embedded_store import EmbeddedStore
        from service.adapters.redis.client.errors import EmbeddedStoreError
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # as on a full disk: empty files can be created but not written
        try:
            EmbeddedStore(Path(sys.argv[1])).start()
        except EmbeddedStoreError as error:
            print(error)
    """
    said = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.startswith(f"PAYWALL_DATA: {folder} cannot be written: ")


def test_store_log_is_rotated(stores: Start, folder: Path) -> None:
    store = stores(folder)
    store.start()
    store.stop()
    with (folder / "store" / "log").open("ab") as log:
        log.write(b"x" * 1_000_001)
    store.start()
    assert (folder / "store" / "log").stat().st_size < 100_000
    assert (folder / "store" / "log.old").exists()


def test_sigint_does_not_reach_the_server(owner_process: Any, folder: Path) -> None:
    pid = int(owner_process(folder).stdout.readline().split()[1])
    assert os.getsid(pid) == pid
    assert os.getpgid(pid) == pid


@pytest.mark.parametrize(("version", "chosen"), [("99.0.0", True), ("9.0.0", False), ("not a version", False)])
def test_newer_valkey_server_on_the_path_is_used(tmp_path: Path, version: str, chosen: bool) -> None:
    installed = tmp_path / "valkey-server"
    installed.write_text(f"#!/bin/sh\necho 'Valkey server v={version} sha=00000000:0 malloc=libc bits=64 build=0'\n")
    installed.chmod(0o755)
    code = "from service.adapters.redis.embedded import valkey; print(valkey.server_binary())"
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([sys.executable, "-c", code], env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    assert (Path(done.stdout.strip()) == installed) is chosen


@FORKS_A_THREADED_PROCESS
def test_forked_child_does_not_hold_the_folder(stores: Start, folder: Path) -> None:
    store = stores(folder)
    store.start()
    child = os.fork()
    if not child:
        signal.pause()
    try:
        store.stop()
        assert FolderLock(folder, "serve").try_acquire()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@FORKS_A_THREADED_PROCESS
def test_fork_while_the_server_starts_does_not_hold_up_the_start(stores: Start, folder: Path) -> None:
    store = stores(folder)
    begun, forked = threading.Event(), threading.Event()

    def start() -> None:
        def wait_for_fork(_: Any, event: str, called: Any) -> None:
            if event == "c_return" and called.__name__ == "fork_exec":
                begun.set()
                forked.wait(0.2)  # The fork can wait for the start itself.

        sys.setprofile(wait_for_fork)
        store.start()

    starter = threading.Thread(target=start)
    starter.start()
    assert begun.wait(60)
    child = os.fork()
    if not child:
        signal.pause()
    forked.set()
    try:
        starter.join(10)
        assert not starter.is_alive()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        starter.join()


@pytest.mark.load
def test_hundred_thousand_readers_load_within_two_seconds(
    stores: Start, folder: Path, connect: Any, until: Any
) -> None:
    store = stores(folder)
    link = connect(store.start())
    assert link.wait(60)
    link.call(b"", "CONFIG", "SET", "appendfsync", "no")
    record = (
        b'[1,42,"active",1,[["price_month",null,"prod_supporter",1,1790000000,1792600000]],1790000000,null,null,0,null]'
    )
    for start in range(0, 100_000, 5_000):
        keys = [b"pw:{%022d}r" % number for number in range(start, start + 5_000)]
        link.pipeline([(key, ("HSET", key, "sub_1PxQyZabcdefghijklmnop", record)) for key in keys])
    store.stop()
    again = stores(folder)
    assert until(lambda: connect(again.start()).wait(60)) < 2

"""Run the service as a process and send requests to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
import requests
from click.testing import CliRunner

from service.entrypoints.cli import main
from tests.store_servers import free_port, server, wait_until
from tests.stripe_fixtures import delivery

SITE_KEY = "site-key-of-the-tests"
ADMIN_KEY = "admin-key-of-the-tests"
PARTS = ["facts", "notebook"]
POLICY = (Path(__file__).parent / "policy.toml").read_text()
WITH_STORY_URLS = POLICY.replace("[site]", '[site]\nstory_url = "https://www.example.news/story/{story}"', 1)
MONTHLY = 'prices = ["price_month", "price_year"]'
WITH_TRIALS = POLICY.replace(MONTHLY, f"{MONTHLY}\ntrial_days = 14")
WITH_GROUPS = f"""{POLICY}
[plans.newsroom]
name = "Group"
features = ["notebook", "no_ads"]
prices = ["price_seat_month"]
seats = true
"""


def story_of(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "parts": PARTS, **more}


@dataclass
class Paywall:
    """A `paywall serve` process and a client for it. `log` is its output."""

    folder: Path
    env: dict[str, str]
    port: int
    arguments: tuple[str, ...] = ("--no-worker",)
    process: subprocess.Popen[bytes] | None = None
    session: requests.Session = field(default_factory=requests.Session)
    site: str = SITE_KEY
    admin: str = ADMIN_KEY

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def as_site(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {SITE_KEY}"}

    @property
    def as_admin(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {ADMIN_KEY}"}

    @property
    def data(self) -> Path:
        return Path(self.env["PAYWALL_DATA"])

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a `paywall` command in this process, with the service's environment: a process takes a second to start."""
        done = CliRunner().invoke(main, arguments, env=self.env, prog_name="paywall")
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    def checked(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a `paywall` command that must end with this status."""
        done = self.command(*arguments)
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def checked_json(self, *arguments: str, status: int = 0) -> Any:
        """Run a `paywall` command with `--json` that must end with this status, and return what it prints."""
        return json.loads(self.checked(*arguments, "--json", status=status).stdout)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a `paywall` command in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "service.entrypoints.cli", *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *, wait: str = "/readyz") -> Paywall:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service.entrypoints.cli", "serve", *self.arguments],
                env=self.env,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            wait_until(lambda: self.answers(wait))
        return self

    def processes(self) -> dict[str, list[int]]:
        """Return the processes by kind: `store`, `worker`, `web server`, and the `web process`es that it starts."""
        assert self.process is not None
        found: dict[str, list[int]] = {"store": [], "worker": [], "web server": [], "web process": []}
        for child in _children_of(self.process.pid):
            command = command_of(child)
            if "web_server" in command:
                found["web server"].append(child)
                found["web process"] += _children_of(child)
            elif command:
                found["store" if "valkey" in command else "worker"].append(child)
        return found

    def answers(self, path: str) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log[-2000:]
        try:
            return requests.get(self.url + path, timeout=60).status_code == 200
        except requests.ConnectionError:
            return False

    def end(self, sign: int = signal.SIGTERM, *, group: bool = False, within: float = 60) -> int:
        """End the process and return its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            (os.killpg if group else os.kill)(self.process.pid, sign)
        return self.process.wait(within)

    def close(self) -> None:
        self.session.close()
        if self.process is not None and self.process.poll() is None:
            try:
                self.end()
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def post(self, path: str, body: Any = None, key: str = SITE_KEY, **more: Any) -> requests.Response:
        return self.call("POST", path, body, key, **more)

    def get(self, path: str, key: str = ADMIN_KEY, **more: Any) -> requests.Response:
        return self.call("GET", path, None, key, **more)

    def call(self, method: str, path: str, body: Any, key: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {key}", **more.pop("headers", {})}
        content: dict[str, Any] = {} if body is None else {"json": body}
        return self.session.request(method, self.url + path, headers=headers, timeout=60, **content, **more)

    def ask(self, story: str | dict[str, Any], **more: Any) -> dict[str, Any]:
        """Check access and return the answer, which must be a 200 and not degraded.

        On a busy machine the store takes longer than the service waits. A degraded answer changes nothing, so ask again.
        """
        found: dict[str, Any] = {}

        def is_normal() -> bool:
            found.update(self.ask_once(story, **more))
            return not found["degraded"]

        wait_until(is_normal)
        return found

    def ask_once(self, story: str | dict[str, Any], **more: Any) -> dict[str, Any]:
        """Check access once; without a store the answer is degraded."""
        named = story if isinstance(story, dict) else story_of(story)
        answer = self.post("/v1/access", {"story": named, **more})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def deliver(self, event: dict[str, Any], status: int = 200, **how: Any) -> None:
        """Deliver an event as Stripe does, to a service with `STRIPE_WEBHOOK_SECRETS=SECRET`."""
        sent = delivery(event, **{"at": time.time(), **how})
        answer = self.session.post(f"{self.url}/v1/stripe/webhook", timeout=60, **sent)
        assert answer.status_code == status, answer.text

    def grant(self, reader: str, **more: Any) -> dict[str, Any]:
        body = {"plan": "vip", "reason": "press card", "until": None, **more}
        if "features" in more:
            del body["plan"]
        answer = self.post(f"/v1/readers/{reader}/grants", body, ADMIN_KEY)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def revoke(self, reader: str, grant: str) -> dict[str, Any]:
        answer = self.call("DELETE", f"/v1/readers/{reader}/grants/{grant}?reason=over", None, ADMIN_KEY)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def reader(self, reader: str, **more: Any) -> dict[str, Any]:
        answer = self.get(f"/v1/readers/{reader}", **more)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def descendants(pid: int) -> list[int]:
    """Return every process that this one started, or that those started."""
    return [found for child in _children_of(pid) for found in (child, *descendants(child))]


def _children_of(pid: int) -> list[int]:
    children: list[int] = []
    with suppress(OSError):  # The process has ended.
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):  # The thread has ended.
                children += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return children


def is_running(pid: int) -> bool:
    """Return whether a process is there and has not ended: one that nobody has waited for is still listed."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command_of(pid: int) -> str:
    """Return the command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def in_days(days: int) -> str:
    """Return the time in `days` days, for ends that must stay within the approval limit."""
    return (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def environment(folder: Path, policy: str, more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a service in this folder, without the settings of this process."""
    config = folder / "config"
    config.mkdir(exist_ok=True)
    (config / "paywall.toml").write_text(policy)
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR", "USER")}
    return {
        **kept,
        "PAYWALL_CONFIG": str(config),
        "PAYWALL_DATA": str(folder / "data"),
        "PAYWALL_SITE_KEYS": f"web:{SITE_KEY}",
        "PAYWALL_ADMIN_KEYS": f"ann:{ADMIN_KEY}",
        "PAYWALL_WORKERS": "2",
        "PAYWALL_SECRETS": "secret-of-the-tests-0123456789abcdef",
        **more,
    }


class Serve(Protocol):
    def __call__(self, policy: str = POLICY, *, start: bool = True, worker: bool = False, **env: str) -> Paywall: ...


def make_serve(root: Path, running: list[Paywall]) -> Serve:
    def serve(policy: str = POLICY, *, start: bool = True, worker: bool = False, **env: str) -> Paywall:
        folder = root / str(len(running))
        folder.mkdir()
        port = free_port()
        settings = environment(folder, policy, {"PAYWALL_PORT": str(port), **env})
        running.append(Paywall(folder, settings, port, () if worker else ("--no-worker",)))
        running[-1].session.trust_env = False
        return running[-1].start() if start else running[-1]

    return serve


@dataclass
class Raw:
    """A raw connection, to send what no HTTP library would."""

    port: int
    sock: socket.socket = field(init=False)
    rest: bytes = b""

    def __post_init__(self) -> None:
        self.sock = socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def send(self, *parts: bytes) -> Raw:
        self.sock.sendall(b"".join(parts))
        return self

    def answer(self, *, head: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Return the next answer: status, headers (lower case) and body. Raises: EOFError on a closed connection."""
        while b"\r\n\r\n" not in self.rest:
            self._more()
        top, _, self.rest = self.rest.partition(b"\r\n\r\n")
        lines = top.decode("latin-1").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        length = 0 if head else int(headers.get("content-length", "0"))
        while len(self.rest) < length:
            self._more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return int(lines[0].split()[1]), headers, body

    def _more(self) -> None:
        got = self.sock.recv(65_536)
        if not got:
            raise EOFError
        self.rest += got

    def close(self) -> None:
        self.sock.close()


@pytest.fixture(scope="session")
def policy() -> str:
    """Return the default paywall.toml of the tests."""
    return POLICY


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start services that end after the test: `serve(policy, REDIS_URL=…)`."""
    running: list[Paywall] = []
    yield make_serve(tmp_path, running)
    for one in running:
        one.close()


@pytest.fixture(scope="session")
def paywall(tmp_path_factory: pytest.TempPathFactory, short_folder: Path) -> Iterator[Paywall]:
    """Run one service for all tests that share it; each uses its own readers, visitors and stories.

    Its store keeps nothing on disk, so no busy disk holds it up.
    """
    running: list[Paywall] = []
    store = server("valkey", Path(tempfile.mkdtemp(dir=short_folder)), tcp=False, settings={}).start()
    yield make_serve(tmp_path_factory.mktemp("paywall"), running)(REDIS_URL=store.url)
    for one in running:
        one.close()
    store.close()
    for one in running:
        assert "Traceback" not in one.log
        assert '"level":"error"' not in one.log


@pytest.fixture
def raw(paywall: Paywall) -> Iterator[Callable[[], Raw]]:
    """Open raw connections to the shared service."""
    opened: list[Raw] = []

    def connect() -> Raw:
        opened.append(Raw(paywall.port))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()

"""`paywall demo`: the service, a newspaper that asks it, and a look-alike of Stripe, started and ended together.

Each is a process of its own that speaks HTTP, exactly as in production. The demo begins afresh each time: it keeps its
store in `PAYWALL_DATA`, and clears that folder first if an earlier demo made it; a folder that holds anything else is left
alone, and refused.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from service.serve import CannotServe, Child, watch
from service.settings import Settings

READER = "r-1042"
MARK = "demo"
START_WITHIN = 30.0
STOP_WITHIN = 9.0


@dataclass(frozen=True)
class Plan:
    """Where each part of the demo listens, and the keys they share."""

    service: int
    newspaper: int
    stripe: int
    site_key: str
    admin_key: str
    webhook_secret: str

    @property
    def newspaper_url(self) -> str:
        return f"http://127.0.0.1:{self.newspaper}"

    @property
    def service_url(self) -> str:
        return f"http://127.0.0.1:{self.service}"

    @property
    def stripe_url(self) -> str:
        return f"http://127.0.0.1:{self.stripe}"


def port_near(wanted: int) -> int:
    """The port that is wanted, or a free one where it is taken."""
    for port in (wanted, 0):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(trial.getsockname()[1])
    raise CannotServe("no port is free on 127.0.0.1")


def run(settings: Settings, env: Mapping[str, str]) -> int:
    """Runs the demo until SIGTERM or Ctrl-C. Gives the exit status."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    begin_afresh(settings.data)
    plan = Plan(
        service=port_near(settings.port),
        newspaper=port_near(8080),
        stripe=port_near(12111),
        site_key=secrets.token_urlsafe(24),
        admin_key=secrets.token_urlsafe(24),
        webhook_secret=f"whsec_{secrets.token_hex(16)}",
    )
    children = _children(settings, plan, env)
    try:
        for child in children:
            child.start()
        if _ready(plan, children, ended):
            sys.stdout.write(welcome(plan))
            sys.stdout.flush()
            watch(children, ended)
        return 0 if ended.is_set() else 1
    finally:
        deadline = time.monotonic() + STOP_WITHIN
        for child in reversed(children):
            child.ask_to_end()
        for child in reversed(children):
            child.end(deadline - time.monotonic())


def begin_afresh(folder: Path) -> None:
    """Clears an earlier demo's folder. `CannotServe` for a folder that holds something else."""
    if (folder / MARK).exists():
        shutil.rmtree(folder)
    elif folder.exists() and any(folder.iterdir()):
        raise CannotServe(
            f"{folder.absolute()} holds a service's data, and the demo begins afresh; set PAYWALL_DATA to another folder"
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / MARK).write_text("made by `paywall demo`, which clears this folder when it starts\n")


def _children(settings: Settings, plan: Plan, env: Mapping[str, str]) -> list[Child]:
    config = settings.data / "demo-config"
    config.mkdir(exist_ok=True)
    policy = (settings.config / "paywall.toml").read_text(encoding="utf-8")
    # Checkout may return to the newspaper of this very run, and to nowhere else.
    policy = re.sub(r"(?m)^origins\s*=.*$", f'origins = ["{plan.newspaper_url}"]', policy)
    (config / "paywall.toml").write_text(policy, encoding="utf-8")
    serve = {
        **env,
        "PAYWALL_CONFIG": str(config.absolute()),
        "PAYWALL_DATA": str(settings.data.absolute()),
        "PAYWALL_HOST": "127.0.0.1",
        "PAYWALL_PORT": str(plan.service),
        "PAYWALL_SITE_KEYS": f"newspaper:{plan.site_key}",
        "PAYWALL_ADMIN_KEYS": f"demo:{plan.admin_key}",
        "STRIPE_API_KEY": "sk_test_demo",
        "STRIPE_API_BASE": plan.stripe_url,
        "STRIPE_WEBHOOK_SECRETS": plan.webhook_secret,
    }
    stripe = ["service.demo.stripe", "--port", str(plan.stripe)]
    stripe += ["--webhook", f"{plan.service_url}/v1/stripe/webhook", "--secret", plan.webhook_secret]
    paper = ["service.demo.newspaper", "--service", plan.service_url, "--site-key-env", "DEMO_SITE_KEY"]
    paper += ["--port", str(plan.newspaper)]
    return [
        Child("stripe look-alike", stripe, env, quiet=True),
        Child("service", ["service.cli", "serve"], serve, log=settings.data / "demo.log"),
        Child("newspaper", paper, {**env, "DEMO_SITE_KEY": plan.site_key}, quiet=True),
    ]


def _ready(plan: Plan, children: list[Child], ended: threading.Event) -> bool:
    """Whether all parts answer; a part that ends before that is told of."""
    deadline = time.monotonic() + START_WITHIN
    waiting = [f"{plan.service_url}/readyz", plan.newspaper_url, f"{plan.stripe_url}/_lookalike/clock"]
    while waiting and not ended.is_set():
        gone = next((child for child in children if child.ended), None)
        if gone is not None or time.monotonic() > deadline:
            raise CannotServe(f"the {gone.name if gone else 'demo'} did not start")
        waiting = [url for url in waiting if not _answers(url)]
        ended.wait(0.05)
    return not ended.is_set()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310  our own addresses on this machine
            return True
    except (urllib.error.URLError, OSError):
        return False


def welcome(plan: Plan) -> str:
    """What a newcomer reads: each address and the ready command on a line of its own."""
    until = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    command = Path(sys.executable).with_name("paywall")
    shown = os.path.relpath(command) if command.is_relative_to(Path.cwd()) else str(command)
    return f"""
The Daily Ledger is open. Read it at

    {plan.newspaper_url}

1. Open a story: the facts are open. Read on until the free stories are used up: the notebook is locked, the box is there.
2. Sign in as Maya, and give her VIP access from another terminal:

{shown} grants add --reader {READER} --plan vip --reason "A look behind the wall" --until {until}

3. Reload: she reads everything, without ads. Or press “Support us” and pay on the look-alike of Stripe (no money moves).

The service:             {plan.service_url}/docs
The look-alike's clock:  curl -X POST {plan.stripe_url}/_lookalike/clock -H 'Content-Type: application/json' -d '{{"advance": 2678400}}'
An admin key:            {plan.admin_key}

Ctrl-C ends it all.
"""

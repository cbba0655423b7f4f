"""`paywall demo`: the service, a newspaper that asks it, and a look-alike of Stripe, started and ended together.

Each is a process of its own that speaks HTTP, exactly as in production. Its own are also the folder, the keys and the
store: of the settings in the environment it takes only the folders, the service's port and the number of workers.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from demo import folder
from demo.layout import HOST, Layout, laid_out
from demo.welcome import grant_command, told, welcome
from service.entrypoints.processes.lifecycle import ShutdownSignal, handle_shutdown_signals, ignore_shutdown_signals
from service.entrypoints.processes.listening import CannotServe
from service.entrypoints.processes.supervisor import Child, supervise
from service.settings.settings import Settings

START_WITHIN = 90.0
STOP_WITHIN = 9.5
MOST_WORKERS = 2


def run(settings: Settings, env: Mapping[str, str], *, as_json: bool = False) -> int:
    """Runs the demo until SIGTERM or Ctrl-C. Gives the exit status; raises `CannotServe`."""
    ended = handle_shutdown_signals()
    with folder.taken(settings.data), ExitStack() as parts:
        with folder.alone(ended):
            layout = laid_out(settings.data, settings.port)
            children = _children(settings, layout, env)
            parts.callback(_end, children)
            ready = _begun(layout, children, _own(settings, layout, env), ended)
        if ready:
            _say(layout, grant_command(env), as_json)
            supervise(children, ended)
    ignore_shutdown_signals()
    return 0


def _begun(layout: Layout, children: list[Child], own: Mapping[str, str], ended: ShutdownSignal) -> bool:
    """Whether all parts answer, `False` where the end came first. `CannotServe` for a part that does not start.

    The service comes last: it finds a store, and a Stripe, that look back on a month.
    """
    service, *others = children
    for child in others:
        child.start()
    if not _answering([f"{layout.stripe}/"], others, layout, ended) or not _remembered(own, layout, ended):
        return False
    service.start()
    urls = [f"{layout.service}/readyz", f"{layout.newspaper}/static/mark.svg"]
    return _answering(urls, children, layout, ended)


def _say(layout: Layout, command: str, as_json: bool) -> None:
    sys.stdout.write(json.dumps(told(layout, command)) + "\n" if as_json else welcome(layout, command))
    sys.stdout.flush()


def _end(children: list[Child]) -> None:
    deadline = time.monotonic() + STOP_WITHIN
    for child in reversed(children):
        child.terminate()
    for child in reversed(children):
        child.stop(deadline - time.monotonic())


def _remembered(env: Mapping[str, str], layout: Layout, ended: ShutdownSignal) -> bool:
    """Whether the store holds a month of invented life, `False` where the end came first. `CannotServe` where that fails."""
    writer = _part("month before", ["demo.past"], env, log=layout.log)
    writer.start()
    while not writer.ended:
        if ended.wait(0.05):
            writer.stop(0)
            return False
    if writer.process is None or writer.process.returncode:
        raise CannotServe(f"the month before could not be written; see {layout.log}")
    return True


def _children(settings: Settings, layout: Layout, env: Mapping[str, str]) -> list[Child]:
    layout.config.mkdir()
    layout.clock.write_text("0\n")
    policy = (settings.config / "paywall.toml").read_text(encoding="utf-8")
    # Checkout may return to the newspaper of this very run, and to nowhere else.
    policy = re.sub(r"(?m)^\s*story_url\s*=.*$", "", policy)
    policy = re.sub(
        r"(?m)^(\s*origins\s*=\s*)\[[^\]]*\]",
        rf'\1["{layout.newspaper}"]\nstory_url = "{layout.newspaper}/story/{{story}}"',
        policy,
    )
    policy = re.sub(r"(?m)^(\s*livemode\s*=\s*)true", r"\1false", policy)  # no money moves here, whatever the file says
    (layout.config / "paywall.toml").write_text(policy, encoding="utf-8")
    around, own = _around(env), _own(settings, layout, env)
    stripe = [
        "stripe_lookalike",
        "--port",
        str(layout.stripe_port),
        "--webhook",
        f"{layout.service}/v1/stripe/webhook",
    ]
    stripe += ["--clock-file", str(layout.clock), "--site", layout.newspaper]
    paper = ["demo.newspaper", "--service", layout.service, "--site-key-env", "DEMO_SITE_KEY"]
    paper += ["--port", str(layout.newspaper_port)]
    paper += ["--clock-file", str(layout.clock), "--backstage", layout.backstage]
    return [
        _part("service", ["service.entrypoints.cli", "serve"], own, log=layout.log),
        _part("look-alike of Stripe", stripe, around | {"LOOKALIKE_SECRET": layout.webhook_secret}),
        _part("newspaper", paper, around | {"DEMO_SITE_KEY": layout.site_key}),
    ]


def _around(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not _is_a_setting(name)}


def _own(settings: Settings, layout: Layout, env: Mapping[str, str]) -> dict[str, str]:
    """What the service itself is told."""
    return {
        **_around(env),
        "PAYWALL_CONFIG": str(layout.config),
        "PAYWALL_DATA": str(layout.folder),
        "PAYWALL_HOST": HOST,
        "PAYWALL_PORT": str(layout.service_port),
        "PAYWALL_WORKERS": str(min(settings.workers, MOST_WORKERS)),
        "PAYWALL_SITE_KEYS": f"newspaper:{layout.site_key}",
        "PAYWALL_ADMIN_KEYS": f"demo:{layout.admin_key}",
        "PAYWALL_DEMO_CLOCK": str(layout.clock),
        "STRIPE_API_KEY": "sk_test_demo",
        "STRIPE_API_BASE": layout.stripe,
        "STRIPE_WEBHOOK_SECRETS": layout.webhook_secret,
    }


def _is_a_setting(name: str) -> bool:
    """Whether it would steer the service, which is not to touch another's store or keys here."""
    return name == "REDIS_URL" or name.startswith(("PAYWALL_", "STRIPE_"))


def _part(name: str, arguments: list[str], env: Mapping[str, str], log: Path | None = None) -> Child:
    return Child(name, ["demo.run_with_parent", str(os.getpid()), *arguments], env, log=log, quiet=log is None)


def _answering(waiting: list[str], children: list[Child], layout: Layout, ended: ShutdownSignal) -> bool:
    """Whether these addresses answer, `False` where the end came first. `CannotServe` for a part that does not start."""
    deadline = time.monotonic() + START_WITHIN
    while waiting and not ended.is_set():
        gone = next((child for child in children if child.ended), None)
        if gone is not None or time.monotonic() > deadline:
            raise CannotServe(f"the {gone.name if gone else 'demo'} did not start; see {layout.log}")
        waiting = [url for url in waiting if not _answers(url)]
        ended.wait(0.05)
    return not ended.is_set()


def _answers(url: str) -> bool:
    try:
        with _direct.open(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Our own addresses on this machine: no proxy of the environment stands before them."""

"""`paywall demo`: start and stop the service, a newspaper that uses it, and a Stripe look-alike.

Each is a process that speaks HTTP, as in production. The demo has a folder, keys and a store of its own. From the settings in
the environment it takes only the folders, the service's port and the number of workers.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from demo import folder
from demo.layout import HOST, Layout, create_layout
from demo.welcome import as_json_fields, grant_command, welcome_text
from service.entrypoints.processes.lifecycle import ShutdownSignal, handle_shutdown_signals, ignore_shutdown_signals
from service.entrypoints.processes.listening import CannotServe
from service.entrypoints.processes.supervisor import Child, supervise
from service.settings.settings import Settings

START_SECONDS = 90.0
STOP_SECONDS = 9.5
MAX_WORKERS = 2


def run(settings: Settings, env: Mapping[str, str], *, as_json: bool = False) -> int:
    """Run the demo until SIGTERM or Ctrl-C, and return the exit status.

    Raises: `CannotServe` if the folder is not free, or if a process doesn't start.
    """
    shutdown = handle_shutdown_signals()
    with folder.demo_folder(settings.data), ExitStack() as stack:
        with folder.start_lock(shutdown):
            layout = create_layout(settings.data, settings.port)
            for note in layout.moved:
                report(note)
            _write_config(settings, layout)
            other_env = {name: value for name, value in env.items() if not _is_setting(name)}
            service_env = {**other_env, **_service_settings(settings, layout)}
            children = _children(layout, other_env, service_env)
            stack.callback(_stop, children)
            ready = _start(layout, children, service_env, shutdown)
        if ready:
            command, sign_in = grant_command(env), _sign_in_link(service_env, shutdown)
            json_line = json.dumps(as_json_fields(layout, command, sign_in)) + "\n"
            sys.stdout.write(json_line if as_json else welcome_text(layout, command, sign_in))
            sys.stdout.flush()
            supervise(children, shutdown)
    ignore_shutdown_signals()
    return 0


def report(progress: str) -> None:
    """Write how far the start is to standard error: standard output has the result."""
    sys.stderr.write(f"{progress}\n")
    sys.stderr.flush()


def _sign_in_link(service_env: Mapping[str, str], shutdown: ShutdownSignal) -> str | None:
    """Return a link that signs in to the staff page once; `None` if it cannot be made: the key works in any case."""
    command = [sys.executable, "-m", "service.entrypoints.cli", "sign-in-link", "--json"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=service_env, stdout=subprocess.PIPE, stderr=quiet) as making:  # noqa: S603 - our own
        while making.poll() is None:
            if shutdown.wait(0.05):
                making.kill()
        made = making.stdout.read() if making.stdout else b""
    return str(json.loads(made)["url"]) if making.returncode == 0 else None


def _start(layout: Layout, children: list[Child], service_env: Mapping[str, str], shutdown: ShutdownSignal) -> bool:
    """Start all processes and return whether they answer; `False` after a shutdown signal.

    The service starts last, so that it finds two months of data in its store and in the look-alike. Raises: `CannotServe`.
    """
    service, *others = children
    report("Starting the newspaper and the Stripe look-alike …")
    for child in others:
        child.start()
    if not _wait_until_ready([f"{layout.stripe}/"], others, layout, shutdown):
        return False
    report("Writing two months of sample data …")
    if not _fill_store(service_env, layout, shutdown):
        return False
    report("Starting the service …")
    service.start()
    urls = [f"{layout.service}/readyz", f"{layout.newspaper}/static/mark.svg"]
    return _wait_until_ready(urls, children, layout, shutdown)


def _stop(children: list[Child]) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    for child in reversed(children):
        child.terminate()
    for child in reversed(children):
        child.stop(deadline - time.monotonic())


def _fill_store(env: Mapping[str, str], layout: Layout, shutdown: ShutdownSignal) -> bool:
    """Write the sample month, and return `False` after a shutdown signal. Raises: `CannotServe`."""
    writer = _child("sample month", ["demo.sample_month"], env, layout)
    writer.start()
    while not writer.ended:
        if shutdown.wait(0.05):
            writer.stop(0)
            return False
    if writer.process is None or writer.process.returncode:
        raise CannotServe(f"the demo could not write its sample data; see {layout.log}")
    return True


def _write_config(settings: Settings, layout: Layout) -> None:
    """Write the clock's file, and a copy of `paywall.toml` with this demo's URLs and without live mode."""
    layout.config.mkdir()
    layout.clock.write_text("0\n")
    policy = (settings.config / "paywall.toml").read_text(encoding="utf-8")
    policy = re.sub(r"(?m)^\s*story_url\s*=.*$", "", policy)
    policy = re.sub(
        r"(?m)^(\s*origins\s*=\s*)\[[^\]]*\]",
        rf'\1["{layout.newspaper}"]\nstory_url = "{layout.newspaper}/story/{{story}}"',
        policy,
    )
    policy = re.sub(r"(?m)^(\s*livemode\s*=\s*)true", r"\1false", policy)
    catalogue = settings.catalogue
    if "free_account" not in catalogue.tiers and "free_account" not in catalogue.offers:
        policy += Path(__file__).with_name("free_account.toml").read_text(encoding="utf-8")
    (layout.config / "paywall.toml").write_text(policy, encoding="utf-8")


def _children(layout: Layout, other_env: Mapping[str, str], service_env: Mapping[str, str]) -> list[Child]:
    clock = ["--clock-file", str(layout.clock)]
    stripe = ["stripe_lookalike", "--port", str(layout.stripe_port), "--site", layout.newspaper, *clock]
    stripe += ["--webhook", f"{layout.service}/v1/stripe/webhook"]
    newspaper = ["demo.newspaper", "--service", layout.service, "--port", str(layout.newspaper_port), *clock]
    newspaper += ["--site-key-env", "DEMO_SITE_KEY", "--backstage", layout.backstage]
    return [
        _child("service", ["service.entrypoints.cli", "serve"], service_env, layout),
        _child("Stripe look-alike", stripe, {**other_env, "LOOKALIKE_SECRET": layout.webhook_secret}),
        _child("newspaper", newspaper, {**other_env, "DEMO_SITE_KEY": layout.site_key}),
    ]


def _service_settings(settings: Settings, layout: Layout) -> dict[str, str]:
    return {
        "PAYWALL_CONFIG": str(layout.config),
        "PAYWALL_DATA": str(layout.folder),
        "PAYWALL_HOST": HOST,
        "PAYWALL_PORT": str(layout.service_port),
        "PAYWALL_WORKERS": str(min(settings.workers, MAX_WORKERS)),
        "PAYWALL_SITE_KEYS": f"newspaper:{layout.site_key}",
        "PAYWALL_ADMIN_KEYS": f"demo:{layout.admin_key}",
        "PAYWALL_DEMO_CLOCK": str(layout.clock),
        "STRIPE_API_KEY": "sk_test_demo",
        "STRIPE_API_BASE": layout.stripe,
        "STRIPE_WEBHOOK_SECRETS": layout.webhook_secret,
    }


def _is_setting(name: str) -> bool:
    """Return whether a variable is a setting of the service. The demo must not use the store and keys of a real one."""
    return name == "REDIS_URL" or name.startswith(("PAYWALL_", "STRIPE_"))


def _child(name: str, arguments: list[str], env: Mapping[str, str], logs_to: Layout | None = None) -> Child:
    log = logs_to.log if logs_to else Path(os.devnull)
    command = [sys.executable, "-m", "demo.run_with_parent", str(os.getpid()), *arguments]

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            return subprocess.Popen(command, env=env, stdout=out)  # noqa: S603 - our own modules

    return Child(name, start)


def _wait_until_ready(urls: list[str], children: list[Child], layout: Layout, shutdown: ShutdownSignal) -> bool:
    """Wait until all URLs answer; return `False` after a shutdown signal. Raises: `CannotServe`."""
    deadline = time.monotonic() + START_SECONDS
    while urls and not shutdown.is_set():
        ended = next((child for child in children if child.ended), None)
        if ended is not None or time.monotonic() > deadline:
            raise CannotServe(f"the {ended.name if ended else 'demo'} did not start; see {layout.log}")
        urls = [url for url in urls if not _answers(url)]
        shutdown.wait(0.05)
    return not shutdown.is_set()


def _answers(url: str) -> bool:
    try:
        with _without_proxy.open(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


_without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))

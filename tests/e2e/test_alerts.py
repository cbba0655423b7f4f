"""Test the alert rules: each fault is caused on a running service, and `promtool` evaluates the rules over what was scraped.

A fault goes on as it was scraped: gauges stay, counters rise by the same steps, times that stood still stay. So an alert
that waits for an hour is tested in seconds. Without `promtool` (Debian: prometheus) the tests are skipped.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.samples import Sample

from stripe_lookalike import serve_lookalike
from tests.admin_app import CONFIRM
from tests.alert_faults import SECOND_ADMIN, Faults, Scrape
from tests.promql import selectors
from tests.running_service import ADMIN_KEY, Paywall, make_serve
from tests.store_servers import server
from tests.stripe_fixtures import SECRET

pytestmark = pytest.mark.full

RULES = Path(__file__).parents[2] / "config/prometheus/alerts.yml"
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}
HEALTHY = 30
"""Minutes for which the rules see the healthy service before a fault."""
LASTS = {
    "PaywallCatchUpLate": 70,
    "PaywallFullSyncLate": 3_000,
    "PaywallImportStuck": 65,
    "PaywallSnapshotLate": 40,
    "PaywallApprovalsWaiting": 1_450,
}
"""Minutes until an alert has to fire; 20 for all others."""
PASSING = ("PaywallSignInsFail", "PaywallProcessRestarts")
"""Alerts about what happens once: they fire at once, and end minutes later."""

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
Json = dict[str, Any]


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory, short_folder: Path) -> Iterator[Faults]:
    """Cause all faults once, for all tests."""
    running: list[Paywall] = []
    folder = Path(tempfile.mkdtemp(dir=short_folder))
    store = server("valkey", folder, tcp=True, settings={"maxmemory": "12mb"}).start()
    with serve_lookalike() as lookalike:
        try:
            paywall = make_serve(tmp_path_factory.mktemp("alerts"), running)(
                CONFIRM + '[providers.paper]\nname = "Paper"\nexpected_every = "30m"\n',
                worker=True,
                REDIS_URL=store.url,
                PAYWALL_WORKERS="1",
                PAYWALL_ADMIN_KEYS=f"ann:{ADMIN_KEY},bob:{SECOND_ADMIN}",
                STRIPE_API_KEY="sk_test_x",
                STRIPE_API_BASE=lookalike.url,
                STRIPE_WEBHOOK_SECRETS=SECRET,
            )
            caused = Faults(paywall, store, lookalike)
            caused.run()
            yield caused
        finally:
            for one in running:
                one.close()
            store.close()


def series(expression: str, healthy: Scrape, fault: list[Scrape], minutes: int) -> list[Json]:
    """Return promtool's input: the samples that an expression selects, a step a minute.

    Without a fault the service stays healthy for `minutes`.
    """
    wanted = list(selectors(expression))
    found = []
    for name, labels in sorted({key for one in (healthy, *fault) for key in one.samples}):
        if any(selector.matches(Sample(name, dict(labels), 0.0)) for selector in wanted):
            scraped = [(one.at, one.samples.get((name, labels))) for one in (healthy, *fault)]
            text = ", ".join(f'{label}="{value}"' for label, value in (("job", "paywall"), *labels))
            found.append({"series": f"{name}{{{text}}}", "values": " ".join(_steps(name, scraped, minutes))})
    return found


def _steps(name: str, scraped: list[tuple[float, float | None]], minutes: int) -> Iterator[str]:
    """Yield the values of a series: while healthy, then as scraped, and then going on in the same way.

    Promtool's clock starts at 0, so a time becomes as much earlier than its own step as it was when it was scraped.
    """
    is_time = name.endswith("_timestamp_seconds")
    pace = 60.0 if is_time and scraped[0][1] else 0.0
    values = [
        None if value is None else value - at + 60 * step if is_time and value else value
        for step, (at, value) in enumerate(scraped, HEALTHY - 1)
    ]
    if values[0] is not None:
        yield f"{values[0] - pace * (HEALTHY - 1):.6f}+{pace:.6f}x{HEALTHY - 1 if len(values) > 1 else minutes}"
    else:
        yield f"_x{HEALTHY}"
    yield from ("_" if value is None else f"{value:.6f}" for value in values[1:])
    if len(values) > 1 and values[-1] is not None:
        (before, old), (now, new) = scraped[-2:]
        rises = (new or 0.0) - (old or 0.0)
        if is_time:
            rises = 60.0 if len(scraped) > 2 and rises > (now - before) / 2 else 0.0
        elif not name.endswith(("_total", "_bucket", "_count", "_sum")):
            rises = 0.0
        yield f"{values[-1] + rises:.6f}+{rises:.6f}x{minutes}"


def promtool(folder: Path, rules: list[Json], inputs: list[Json], expected: dict[int, bool]) -> str:
    """Evaluate rules over the input; return what promtool reports if not as many fire as expected, at each minute."""
    firing = 'count(ALERTS{alertstate="firing"}) > bool 0'
    checks = [
        {"expr": firing, "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": 1}] if fires else []}
        for minute, fires in expected.items()
    ]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "tested", "rules": rules}]}))
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": inputs, "promql_expr_test": checks}],
    }
    (folder / "test.yml").write_text(yaml.safe_dump(tests))
    return run_promtool("test", "rules", str(folder / "test.yml"))


def run_promtool(*arguments: str) -> str:
    """Return what promtool reports, empty if all is well."""
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=120, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@needs_promtool
def test_rules_are_valid() -> None:
    assert run_promtool("check", "rules", str(RULES)) == ""


@needs_promtool
@pytest.mark.parametrize("alert", ALERTS)
def test_alert_fires_when_its_fault_is_caused_and_not_before(alert: str, faults: Faults, tmp_path: Path) -> None:
    rule, seen = ALERTS[alert], faults.seen[alert]
    inputs = series(rule["expr"], faults.healthy, seen, LASTS.get(alert, 20))
    assert inputs
    fires_at = HEALTHY + len(seen) + (1 if alert in PASSING else LASTS.get(alert, 20))
    assert promtool(tmp_path, [rule], inputs, {HEALTHY - 1: False, fires_at: True}) == ""


@needs_promtool
def test_no_alert_fires_while_the_service_is_healthy(faults: Faults, tmp_path: Path) -> None:
    rules, minutes = list(ALERTS.values()), 300
    inputs = series(" ".join(rule["expr"] for rule in rules), faults.healthy, [], minutes)
    assert promtool(tmp_path, rules, inputs, {minutes: False}) == ""

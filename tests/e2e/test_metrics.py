"""Test `/metrics` of a running service: complete, documented, and there while the store hangs or is down."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import requests
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.promql import selectors
from tests.running_service import Paywall, Serve
from tests.store_servers import Launch, Until

ROOT = Path(__file__).parents[2]
_DOCUMENTED = re.compile(r"`((?:paywall|process)_\w+)(?:\{([\w,]+)\})?`")


def scrape(paywall: Paywall) -> dict[str, Metric]:
    answer = requests.get(paywall.url + "/metrics", timeout=60)
    assert answer.status_code == 200
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def documented() -> dict[str, set[str]]:
    """Return the metrics that the tables of the reference name, with their labels."""
    rows = [
        line for line in (ROOT / "docs/reference/metrics.md").read_text().splitlines() if re.match(r"\| `[a-z]", line)
    ]
    found = [match for row in rows for match in _DOCUMENTED.findall(row.split("|")[1])]
    return {name.removesuffix("_total"): set(filter(None, labels.split(","))) for name, labels in found}


def test_reference_names_every_metric_with_its_labels(paywall: Paywall) -> None:
    families = scrape(paywall)
    labels = {
        name: set().union(*(sample.labels for sample in family.samples)) - {"le"} for name, family in families.items()
    }
    assert documented() == labels


def test_every_metric_has_samples_from_the_start(serve: Serve) -> None:
    families = scrape(serve())
    assert {name for name, family in families.items() if not family.samples} == set()
    counted = families["paywall_requests"].samples
    requests_at_start = {(one.labels["method"], one.labels["route"], one.labels["status"]) for one in counted}
    assert {
        ("POST", "/v1/access", "200"),
        ("POST", "/v1/access", "422"),
        ("POST", "/v1/stripe/webhook", "400"),
        ("PATCH", "/v1/readers/<reader>/grants/<grant>", "409"),
        ("GET", "/v1/audit", "401"),
        ("POST", "/admin/sign-in", "303"),
        ("GET", "unknown", "404"),
    } <= requests_at_start
    accesses = [s for s in families["paywall_request_seconds"].samples if s.labels["route"] == "/v1/access"]
    assert {sample.value for sample in accesses} == {0.0}


def test_processes_are_measured(serve: Serve, until: Until) -> None:
    paywall = serve(worker=True)

    def value(name: str, process: str) -> float:
        samples = scrape(paywall)[name].samples
        return next(s.value for s in samples if s.labels["process"] == process)

    until(lambda: value("paywall_processes", "web") == 2 and value("paywall_processes", "worker") == 1)
    for process in ("web", "worker"):
        assert value("process_cpu_seconds", process) > 0
        assert value("process_resident_memory_bytes", process) > 20e6
        assert 0 < value("process_open_fds", process) < value("process_max_fds", process)
        assert 0 <= time.time() - value("process_start_time_seconds", process) < 600
    until(lambda: scrape(paywall)["paywall_worker_heartbeat_timestamp_seconds"].samples[0].value > 0)


def test_metrics_are_answered_while_the_store_hangs_and_while_it_is_down(
    serve: Serve, launch: Launch, until: Until
) -> None:
    store = launch(tcp=True)
    paywall = serve(REDIS_URL=store.url)
    until(lambda: scrape(paywall)["paywall_state_timestamp_seconds"].samples[0].value > 0)
    store.freeze()
    try:
        paywall.ask_once("s-1", visitor="v-1")
        # The store's own time-out is 0.25 s; a request that waited for it would take that long each time.
        took = [requests.get(paywall.url + "/metrics", timeout=5).elapsed.total_seconds() for _ in range(20)]
        assert min(took) < 0.2
        until(lambda: scrape(paywall)["paywall_store_up"].samples[0].value == 0)
    finally:
        store.thaw()
    store.end()
    frozen = scrape(paywall)["paywall_state_timestamp_seconds"].samples[0].value
    assert frozen > 0


def test_runbook_has_a_line_for_each_alert() -> None:
    lines = re.findall(r"^\| `(Paywall\w+)` \|", (ROOT / "docs/reference/metrics.md").read_text(), re.MULTILINE)
    assert lines == [place.removeprefix("alert ") for place in expressions() if place.startswith("alert ")]


def expressions() -> dict[str, str]:
    """Return every expression of the alert rules and of the dashboard, by where it stands."""
    rules = yaml.safe_load((ROOT / "config/prometheus/alerts.yml").read_text())["groups"]
    found = {f"alert {rule['alert']}": rule["expr"] for group in rules for rule in group["rules"]}
    dashboard = json.loads((ROOT / "config/grafana/dashboard.json").read_text())
    for panel in dashboard["panels"]:
        found |= {f"panel {panel['title']} {target['refId']}": target["expr"] for target in panel.get("targets", ())}
    return found


def test_alerts_and_panels_select_only_metrics_that_exist(paywall: Paywall) -> None:
    samples = [sample for family in scrape(paywall).values() for sample in family.samples]
    samples.append(Sample("up", {}, 1.0))  # Prometheus makes it.
    for place, expression in expressions().items():
        selected = list(selectors(expression))
        assert selected, place
        for selector in selected:
            assert any(selector.matches(sample) for sample in samples), f"{place}: {selector} selects nothing"


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_expressions_of_the_dashboard_are_valid(tmp_path: Path) -> None:
    panels = [text for place, text in expressions().items() if place.startswith("panel")]
    rules = [{"record": "valid", "expr": text.replace("$__rate_interval", "1m")} for text in panels]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", "--lint=none", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

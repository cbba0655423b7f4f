"""Test `/metrics` of a running service: complete, documented, and there while the store hangs or is down."""

from __future__ import annotations

import re
import time
from pathlib import Path

import requests
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

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
    rows = [line for line in (ROOT / "docs/metrics.md").read_text().splitlines() if line.startswith("| `")]
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
    requests_at_start = {tuple(sample.labels.values()) for sample in families["paywall_requests"].samples}
    assert {"/v1/access", "/v1/stripe/webhook", "/admin/sign-in"} <= {
        value for row in requests_at_start for value in row
    }
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

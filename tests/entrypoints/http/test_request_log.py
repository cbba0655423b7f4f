"""Test the request log: one line and one observation for each request, also from many threads."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.adapters.observability.metrics import Metrics
from service.entrypoints.http.request_log import RequestLog


@pytest.fixture
def _restless() -> Iterator[None]:
    """Switch threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_restless")
def test_first_requests_from_many_threads_are_counted_once_each(
    all_at_once: Callable[[int, Callable[[int], Any]], list[Any]],
) -> None:
    for _ in range(30):
        metrics = Metrics()
        log = RequestLog(metrics)

        def one(_: int, log: RequestLog = log) -> str:
            return log.end(log.begin(), "/v1/access", "POST", 200, None)

        ids = all_at_once(8, one)
        assert len(set(ids)) == 8
        assert 'status="200"} 8.0' in metrics.exposition().decode()


def test_made_up_methods_are_one_label_in_the_metrics() -> None:
    metrics = Metrics()
    log = RequestLog(metrics)
    for method in ("BREW", "GETT", "get"):
        log.end(log.begin(), "unknown", method, 405, None)
    assert 'paywall_requests_total{method="other",route="unknown",status="405"} 3.0' in metrics.exposition().decode()

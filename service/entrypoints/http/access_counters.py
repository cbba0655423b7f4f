"""Answers counted: for Prometheus at once, for the page's plots by and by. On the hot path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.adapters.observability.metrics import Metrics
from service.use_cases.access.check import Answer
from service.use_cases.reporting.usage_counters import Activity


def counter(metrics: Metrics, activity: Activity) -> Callable[[Answer], None]:
    """What is called with every answer."""
    children: dict[tuple[str, str], Any] = {}

    def answered(answer: Answer) -> None:
        decision = answer.decision
        pair = (decision.show, decision.reason.value)
        child = children.get(pair)
        if child is None:
            child = children[pair] = metrics.decisions.labels(*pair)
        child.inc()
        if decision.degraded:
            metrics.degraded.inc()
        activity.answered(answer)

    return answered

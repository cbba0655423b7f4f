"""Gauges of the state that all processes share: the queues, the worker, and the store itself.

A background task reads this state from the store every few seconds. So no request for the metrics waits for the store, and
while the store is unavailable the last figures stay. `paywall_state_timestamp_seconds` is when they were read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

Figures = Mapping[str, float]
"""Label value → number. A gauge without a label has the one key ""."""

GAUGES: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "paywall_state_timestamp_seconds": ("When the state below was read from the store.", "", ("",)),
    "paywall_worker_heartbeat_timestamp_seconds": ("When the active worker last renewed its lease.", "", ("",)),
    "paywall_last_catch_up_timestamp_seconds": ("When the last catch-up with Stripe finished.", "", ("",)),
    "paywall_last_full_sync_timestamp_seconds": ("When the last finished full sync with Stripe began.", "", ("",)),
    "paywall_stripe_events": (
        "Stripe events that wait to be processed, and that failed after ten attempts.",
        "state",
        ("pending", "dead"),
    ),
    "paywall_stripe_objects_waiting": (
        "Stripe objects to read again, and to write to their readers.",
        "work",
        ("refresh", "fan_out"),
    ),
    "paywall_audit_entries_waiting": ("Audit entries that are not in the chain yet.", "", ("",)),
    "paywall_imports": ("Unfinished imports.", "state", ("staged", "applying", "undoing")),
    "paywall_approvals_waiting": ("Requests that wait for a second admin.", "", ("",)),
    "paywall_second_trials": ("Trials of readers who held the plan before, as last checked.", "", ("",)),
    "paywall_provider_snapshot_timestamp_seconds": ("When a provider last sent its snapshot.", "provider", ()),
    "paywall_provider_snapshot_expected_seconds": (
        "How often a provider is expected to send it; 0: not.",
        "provider",
        (),
    ),
    "paywall_provider_snapshot_refused": ("1 if the last snapshot would have ended too much.", "provider", ()),
    "paywall_store_memory_used_ratio": ("Share of its maxmemory that the store uses; 0 without a limit.", "", ("",)),
}
"""Name → description, name of the label, and its values; without values those are the providers."""


class StateGauges(Collector):
    """The last figures, 0 before the first."""

    def __init__(self) -> None:
        self._figures: Mapping[str, Figures] = {}
        self._providers: Sequence[str] = ()

    def declare_providers(self, providers: Sequence[str]) -> None:
        """Show the gauges of these providers from now on."""
        self._providers = providers

    def update(self, figures: Mapping[str, Figures]) -> None:
        """Replace the figures. They are by metric, and then by label value."""
        self._figures = figures

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every gauge with all its label values."""
        for name, (description, label, values) in GAUGES.items():
            family = GaugeMetricFamily(name, description, labels=[label] if label else [])
            figures = self._figures.get(name, {})
            for value in values or self._providers:
                family.add_metric([value] if label else [], figures.get(value, 0.0))
            yield family

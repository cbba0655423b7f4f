"""Receive what Stripe delivers, and count it with its delay."""

from __future__ import annotations

from contextlib import suppress

from service.adapters.stripe.webhook import Envelope
from service.domain.errors import StoreUnavailable
from service.use_cases.reporting.alerts import Alerts
from service.use_cases.reporting.usage_counters import UsageCounters
from service.use_cases.subscriptions.event_processor import DeliveryResult, EventProcessor


class DeliveryReceiver:
    """Hands deliveries to the processor and counts them for the statistics."""

    def __init__(self, processor: EventProcessor, usage_counters: UsageCounters, alerts: Alerts) -> None:
        self._processor = processor
        self._usage_counters = usage_counters
        self._alerts = alerts

    def receive_event(self, envelope: Envelope, now: float) -> DeliveryResult:
        """Record a verified event as `EventProcessor.receive` does, and count it. Raises: `StoreUnavailable`."""
        receipt = self._processor.receive_event(envelope, now)
        if receipt.known:
            self._usage_counters.count_delivery("repeat")
        else:
            self._usage_counters.count_delivery(receipt.state, now - envelope.created)
            if envelope.created > now:
                with suppress(StoreUnavailable):
                    self._alerts.record_clock_delay(envelope.created - now, now)
        return receipt

"""What a new set-up still lacks, step by step: keys, Stripe, and the first webhook, check and purchase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from service.settings.settings import Settings
from service.use_cases.subscriptions.event_processor import EventProcessor

StepName = Literal["site_key", "stripe", "webhook", "check", "purchase"]


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the set-up, and whether it is done."""

    name: StepName
    is_done: bool


def set_up_steps(settings: Settings, processor: EventProcessor, *, has_checks: bool) -> list[Step]:
    """Return the steps in order. Raises: StoreUnavailable."""
    return [
        Step("site_key", bool(settings.site_keys)),
        Step("stripe", settings.stripe_api_key is not None and bool(settings.stripe_webhook_secrets)),
        Step("webhook", processor.ledger.newest_at() is not None),
        Step("check", has_checks),
        Step("purchase", _has_purchase(processor)),
    ]


def _has_purchase(processor: EventProcessor) -> bool:
    """Return whether a subscription or a payment is stored; customers are stored before they buy."""
    names = (name for page in processor.pending_work.iterate_objects() for name in page)
    return any(not name.startswith("customer:") for name in names)

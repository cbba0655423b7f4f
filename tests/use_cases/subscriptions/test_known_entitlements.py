"""Test known entitlements after Stripe events: an outage never restores what ended."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import pytest

from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.client.keys import reader_hash
from tests.store_servers import ON_VALKEY

pytestmark = ON_VALKEY

DAY = 86_400
NOW = 2_000_000_000
PAID_UNTIL = NOW + 12 * DAY
"""The period's end, and the leeway."""
BOTH = {"notebook": PAID_UNTIL, "no_ads": PAID_UNTIL}


class Seen:
    """A processor, and the known entitlements of `r-1`."""

    def __init__(self, stage: Any, make: Any, folder: Path) -> None:
        ticks = count(NOW)
        self.known = RecentEntitlements(folder, DAY, clock=lambda: float(next(ticks)))
        self.processor = stage.make(known=self.known)
        self.stage, self.make = stage, make

    def happen(self, sort: str, obj: dict[str, Any], now: int = NOW) -> None:
        self.stage.deliver(self.stage.stripe.happen(self.make.event(sort, obj, now)), now, self.processor)

    def look(self) -> None:
        """Note the entitlements as an access check does."""
        held = tuple(self.stage.held("r-1", NOW).items())
        self.known.note(reader_hash("r-1"), held, NOW)

    def left(self) -> dict[str, int | None]:
        return dict(self.known.features(reader_hash("r-1"), NOW + 100))


@pytest.fixture
def seen(stage: Any, make: Any, tmp_path: Path) -> Seen:
    found = Seen(stage, make, tmp_path)
    found.happen("customer.subscription.created", make.subscription())
    return found


def test_scheduled_end_limits_known_entitlements(seen: Seen) -> None:
    seen.look()
    seen.happen("customer.subscription.updated", seen.make.subscription(cancel_at=NOW + DAY), NOW + 1)
    assert seen.left() == {"notebook": NOW + DAY, "no_ads": NOW + DAY}


def test_ended_subscription_removes_known_entitlements(seen: Seen) -> None:
    seen.look()
    seen.happen("customer.subscription.deleted", seen.make.subscription(status="canceled"), NOW + 1)
    assert seen.left() == {}


def test_known_entitlements_of_another_source_stay(seen: Seen) -> None:
    seen.happen("customer.subscription.created", seen.make.subscription("sub_2", price="price_all_month"))
    seen.look()
    assert set(seen.left()) == {*BOTH, "newsmaker_events"}
    seen.happen(
        "customer.subscription.deleted",
        seen.make.subscription("sub_2", price="price_all_month", status="canceled"),
        NOW + 1,
    )
    assert seen.left() == BOTH


def test_changed_owner_removes_known_entitlements(seen: Seen) -> None:
    seen.look()
    seen.happen("customer.subscription.updated", seen.make.subscription(reader="r-2"), NOW + 1)
    assert seen.left() == {}


def test_reader_not_seen_before_has_no_known_entitlements(seen: Seen) -> None:
    seen.happen("customer.subscription.updated", seen.make.subscription(cancel_at=NOW + DAY), NOW + 1)
    assert seen.left() == {}


def test_renewal_keeps_known_entitlements(seen: Seen) -> None:
    seen.look()
    seen.happen("customer.subscription.updated", seen.make.subscription(end=NOW + 40 * DAY), NOW + 1)
    assert seen.left() == BOTH

"""Subscriptions are read by lists, and a read that was cut off goes on where it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from service.adapters.crypto import Sealer
from service.adapters.read_progress import VALID_FOR, ReadProgress
from service.domain.errors import StripeUnavailable
from service.domain.sources import Subscription
from service.domain.stripe_facts import ObjectRef, OwnerClaims, StripeFacts
from service.use_cases.takeover.stripe_reading import StripeReading
from service.use_cases.takeover.stripe_view import StripeLink

SEALER = Sealer(["secret-of-the-tests-0123456789abcdef"], "takeover")
NOW = 1_800_000_000


class ListingGateway:
    """Lists subscriptions, the newest first, and fails after some; `listed` are those that were asked for."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.fails_after: int | None = None
        self.listed: list[str] = []
        self.lists = 0

    def list_subscriptions(self, after: str | None = None) -> Iterator[StripeFacts]:
        self.lists += 1
        start = self.names.index(after) + 1 if after else 0
        for count, name in enumerate(self.names[start:]):
            if count == self.fails_after:
                raise StripeUnavailable("unreachable")
            self.listed.append(name)
            source = Subscription(f"sub_{name}", "active", (), NOW)
            yield StripeFacts(ObjectRef("subscription", name), source, f"cus_{name}", OwnerClaims(), NOW)


def _reading(gateway: Any, folder: Path, pauses: Sequence[float] = ()) -> StripeReading:
    store: Any = None  # With a gateway the store is not read.
    return StripeReading(gateway, store, ReadProgress(folder / "read", lambda: SEALER), "one", pauses)


def _read(gateway: ListingGateway, folder: Path, links: list[StripeLink], now: float = NOW) -> list[str]:
    return sorted(_reading(gateway, folder).read(links, now, lambda count: None).by_id)


LINKS = [StripeLink("customer", "cus_900"), StripeLink("customer", "cus_5"), StripeLink("subscription", "100")]


def test_only_linked_subscriptions_are_kept(tmp_path: Path) -> None:
    gateway = ListingGateway([str(n) for n in range(1_000, 0, -1)])
    assert _read(gateway, tmp_path, LINKS) == ["100", "5", "900"]
    assert not (tmp_path / "read").exists()


def test_read_that_was_cut_off_goes_on_after_its_last_page(tmp_path: Path) -> None:
    gateway = ListingGateway([str(n) for n in range(1_000, 0, -1)])
    gateway.fails_after = 650
    with pytest.raises(StripeUnavailable):
        _read(gateway, tmp_path, LINKS)
    gateway.fails_after, gateway.listed = None, []
    gateway.names.insert(0, "1001")
    assert _read(gateway, tmp_path, [*LINKS, StripeLink("customer", "cus_1001")][:3]) == ["100", "5", "900"]
    assert gateway.listed[:2] == ["1001", "1000"]
    assert len(gateway.listed) == 402


def test_read_goes_on_after_failures_that_pass(tmp_path: Path) -> None:
    gateway = ListingGateway([str(n) for n in range(1_000, 0, -1)])
    gateway.fails_after = 150
    found = _reading(gateway, tmp_path, pauses=(0,)).read(LINKS, NOW, lambda count: None)
    assert sorted(found.by_id) == ["100", "5", "900"]


def test_read_ends_after_failures_without_progress(tmp_path: Path) -> None:
    gateway = ListingGateway(["1"])
    gateway.fails_after = 0
    with pytest.raises(StripeUnavailable):
        _reading(gateway, tmp_path, pauses=(0, 0, 0)).read(LINKS, NOW, lambda count: None)
    assert gateway.lists == 4


def test_subscription_made_since_the_read_began_is_found(tmp_path: Path) -> None:
    gateway = ListingGateway([str(n) for n in range(1_000, 0, -1)])
    gateway.fails_after = 650
    links = [*LINKS, StripeLink("customer", "cus_1001")]
    with pytest.raises(StripeUnavailable):
        _read(gateway, tmp_path, links)
    gateway.fails_after = None
    gateway.names.insert(0, "1001")
    assert _read(gateway, tmp_path, links) == ["100", "1001", "5", "900"]


@pytest.mark.parametrize(("links", "later"), [(LINKS[:2], 0), (LINKS, VALID_FOR)])
def test_read_of_other_links_or_an_hour_later_begins_again(tmp_path: Path, links: list[StripeLink], later: int) -> None:
    gateway = ListingGateway([str(n) for n in range(300, 0, -1)])
    gateway.fails_after = 250
    with pytest.raises(StripeUnavailable):
        _read(gateway, tmp_path, LINKS)
    gateway.fails_after, gateway.listed = None, []
    _read(gateway, tmp_path, links, NOW + later)
    assert len(gateway.listed) == 300

"""Test whether a price is paid again and again."""

from __future__ import annotations

from dataclasses import replace

from service.domain.prices import PriceTag


def test_price_with_an_interval_recurs() -> None:
    once = PriceTag("price_day", None, 200, "usd", None, "prod_day", active=True)
    assert not once.recurring
    assert replace(once, interval="month").recurring

"""Test what a reader's sources amount to."""

from __future__ import annotations

from dataclasses import replace

from service.domain.reader_states import summarize_holdings
from service.domain.sources import Holding, Reason, Standing

NOW = 1_795_000_000
GRANT = Holding("grant", "g-1", "vip", ("notebook",), "active", Standing.GOOD, Reason.GRANT, NOW - 5, NOW + 5)
ENDED = replace(GRANT, type="subscription", id="s-1", plan="supporter", base=Standing.ENDED, until=NOW - 9)


def test_live_sources_count_alone_and_ended_ones_where_none_is_live() -> None:
    both, ended = summarize_holdings([ENDED, GRANT], NOW), summarize_holdings([ENDED], NOW)
    assert (both.access, both.plans, both.sources, both.until) == (True, ("vip",), ("grant",), NOW + 5)
    assert (ended.access, ended.plans, ended.sources, ended.until) == (
        False,
        ("supporter",),
        ("subscription",),
        NOW - 9,
    )


def test_only_live_sources_change_by_themselves() -> None:
    assert summarize_holdings([ENDED, GRANT], NOW).next_change == NOW + 5
    ended = summarize_holdings([ENDED], NOW)
    assert (ended.next_change, ended.last_change) == (None, None)

"""Test batches of a sequence."""

from __future__ import annotations

from service.adapters.batches import batched


def test_batches_hold_all_items_in_order_and_only_the_last_is_smaller() -> None:
    assert list(batched("abcde", 2)) == ["ab", "cd", "e"]
    assert list(batched([], 2)) == []

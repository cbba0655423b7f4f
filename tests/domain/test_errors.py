"""Test what each error keeps for the error table, and what it says in a log."""

from __future__ import annotations

from typing import Any

import pytest

from service.domain import errors
from service.domain.errors import DomainError

TWO = [("plan", "is not known"), ("until", "is over")]
BOTH = "plan: is not known; until: is over"


@pytest.mark.parametrize(
    ("error", "text", "kept"),
    [
        (errors.InvalidFields(iter(TWO)), BOTH, {"errors": TWO}),
        (errors.NoLongerPossible(TWO), BOTH, {"errors": TWO}),
        (errors.FileTooLarge("16 MiB"), "16 MiB", {"most": "16 MiB"}),
        (errors.LargestDrop(3, 4, 0.5), "3 of 4 would end", {"ending": 3, "running": 4, "share": 0.5}),
        (errors.UnknownProvider(["print"]), "1 providers", {"known": ["print"]}),
        (errors.CannotMerge("they are the same"), "they are the same", {"why": "they are the same"}),
        (errors.UnknownStory("s-1", "metered"), "s-1", {"story": "s-1", "tier": "metered"}),
        (errors.GiftsUsed(5, 1_800_000_000), "this month's gifts are used", {"limit": 5, "resets_at": 1_800_000_000}),
        (errors.NameInUse("desk"), "desk", {"name": "desk"}),
        (errors.EnvironmentKey("desk"), "desk", {"name": "desk"}),
        (errors.LiveSubscription(["sub_1", "sub_2"]), "2 live subscriptions", {"ids": ["sub_1", "sub_2"]}),
        (errors.AlreadySubscribed("Supporter"), "Supporter", {"plan": "Supporter", "has_seats": False}),
        (errors.StoreUnavailable("oom"), "oom", {"why": "oom"}),
        (errors.StoreUnavailable("open", "timeout"), "timeout", {"why": "open"}),
        (errors.StripeUnavailable("busy"), "busy", {"why": "busy", "retry_after": 1.0}),
        (errors.StripeRefused("bad", "price", "No such price"), "bad", {"param": "price", "message": "No such price"}),
        (errors.NoSuchObject("price"), "no_such_object", {"why": "no_such_object", "param": "price", "message": ""}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, DomainError) else None,
)
def test_error_keeps_what_its_answer_names(error: DomainError, text: str, kept: dict[str, Any]) -> None:
    assert str(error) == text
    assert {name: getattr(error, name) for name in kept} == kept


def test_wrong_rows_are_named_by_line_in_the_order_of_the_file() -> None:
    error = errors.WrongRows([(7, "until", "is over"), (2, "plan", "is not known")])
    assert str(error) == "2 mistakes"
    assert error.rows == [(2, "plan", "is not known"), (7, "until", "is over")]
    assert error.errors == [("line 2, plan", "is not known"), ("line 7, until", "is over")]

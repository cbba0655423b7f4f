"""Test that links take IDs of Stripe's only: one with a brace once made a backup leave out the keys of Stripe's objects."""

from __future__ import annotations

import pytest

from tests.admin_app import Admins

WRONG = ["{0", "cus_{0", "cus_", "cus_é", "cus_1 2", "cus_1:title", "sub_1", "1", "CUS_1"]


@pytest.mark.parametrize("customer", WRONG)
def test_link_to_something_else_than_a_customer_is_422(admins: Admins, customer: str) -> None:
    problem = admins.call_json("ann", "POST", "/v1/readers/r-1/links", {"customer": customer}, 422)
    assert [error["field"] for error in problem["errors"]] == ["customer"]
    assert admins.audit() == []


def test_link_to_something_else_than_a_subscription_is_422(admins: Admins) -> None:
    for subscription in ("{0", "cus_1", "sub_", "sub_1}"):
        admins.call_json("ann", "POST", "/v1/readers/r-1/links", {"subscription": subscription}, 422)
    linked = admins.call_json("ann", "POST", "/v1/readers/r-1/links", {"subscription": "sub_1MowQVLk_2"})
    assert linked == {"reader": "r-1", "subscription": "sub_1MowQVLk_2", "was": None}

"""Test links by HTTP. They take IDs of Stripe's only: one with a brace once made a backup leave out Stripe's objects."""

from __future__ import annotations

import pytest

from tests.admin_app import Admins
from tests.store_servers import ON_VALKEY

pytestmark = ON_VALKEY

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


@pytest.mark.parametrize("target", [{"subscription": "sub_1"}, {"customer": "cus_1"}])
def test_link_is_removed_once_with_its_reason(admins: Admins, target: dict[str, str]) -> None:
    admins.call_json("ann", "POST", "/v1/readers/r-1/links", target)
    path = "/v1/readers/r-1/links?reason=wrong%20person"
    assert admins.call_json("ann", "DELETE", path, target) == {"reader": "r-1", **target}
    admins.call_json("ann", "DELETE", path, target, 404)
    entry = admins.audit()[0]
    assert (entry["action"], entry["reader"], entry["reason"]) == ("unlink", "r-1", "wrong person")
    assert (entry["before"], entry["target"]) == ({"reader": "r-1"}, *target.values())
    assert admins.app.reader("r-1")["customers"] == []


def test_link_of_another_reader_is_not_removed(admins: Admins) -> None:
    admins.call_json("ann", "POST", "/v1/readers/r-1/links", {"customer": "cus_1", "reason": "they wrote to us"})
    admins.call_json("ann", "DELETE", "/v1/readers/r-2/links", {"customer": "cus_1"}, 404)
    assert [(entry["action"], entry["reason"]) for entry in admins.audit()] == [("link", "they wrote to us")]


@pytest.mark.parametrize("body", [{}, {"customer": "cus_1", "subscription": "sub_1"}, {"customer": "x"}, {"e": 1}])
def test_removal_that_names_no_object_is_422(admins: Admins, body: dict[str, object]) -> None:
    admins.call_json("ann", "DELETE", "/v1/readers/r-1/links", body, 422)


def test_force_must_be_a_boolean(admins: Admins) -> None:
    admins.call_json("ann", "POST", "/v1/readers/r-1/links?force=1", {"customer": "cus_1"}, 422)

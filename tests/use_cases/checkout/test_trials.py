"""Test trials: a reader gets one of a plan, whatever happens to its history, and a second is flagged."""

from __future__ import annotations

from typing import Any

import pytest

from service.domain.catalogue import DAY
from service.use_cases.checkout.trials import Trials
from tests.admin_app import Admins, MakeAdmins
from tests.recorded_stripe import NOW, Maker
from tests.running_service import WITH_TRIALS

LATER = NOW + 1_000 * DAY


@pytest.fixture
def admins(make_admins: MakeAdmins) -> Admins:
    return make_admins(WITH_TRIALS)


@pytest.fixture
def trials(at_noon: Admins) -> Trials:
    return at_noon.app.service.trials


def holds(make: Maker, status: str, name: str = "sub_1", **fields: Any) -> None:
    make.deliver("customer.subscription.updated", make.subscription(name, status=status, **fields))


def test_subscription_that_started_uses_up_the_trial_of_its_plan(make: Maker, trials: Trials) -> None:
    for status in ("trialing", "active", "past_due", "unpaid", "canceled"):
        holds(make, status, f"sub_{status}", reader=f"r-{status}")
        assert trials.has_held(f"r-{status}", "supporter")
        assert not trials.has_held(f"r-{status}", "quiet")
    assert not trials.has_held("r-other", "supporter")


def test_subscription_that_never_started_leaves_the_trial(make: Maker, trials: Trials) -> None:
    for status in ("incomplete", "incomplete_expired", "paused", "new"):
        holds(make, status, f"sub_{status}", reader=f"r-{status}")
        assert not trials.has_held(f"r-{status}", "supporter")
    holds(make, "paused", "sub_card", reader="r-card", trial_end=NOW - DAY)  # for want of a card after the trial
    assert trials.has_held("r-card", "supporter")


def test_gift_grant_and_pass_leave_the_trial(make: Maker, trials: Trials, admins: Admins) -> None:
    admins.grant("r-1")
    holds(make, "active", metadata={"reader_id": "r-9", "gift_recipient": "r-1"})
    make.deliver("checkout.session.completed", make.session(metadata={"reader_id": "r-1", "price_id": "price_month"}))
    assert not trials.has_held("r-1", "supporter")


def test_trial_stays_used_up_after_a_change_of_plan_and_retention(make: Maker, trials: Trials, admins: Admins) -> None:
    holds(make, "trialing")
    holds(make, "active", price="price_quiet")
    holds(make, "canceled", price="price_quiet", ended_at=NOW)
    list(admins.app.service.retention.iterate_steps(LATER))
    assert len(admins.app.service.readers.load_history("r-1")) == 1
    assert trials.has_held("r-1", "supporter")
    assert trials.has_held("r-1", "quiet")


def test_retention_keeps_what_a_former_release_wrote_to_the_history_alone(
    make: Maker, trials: Trials, admins: Admins
) -> None:
    holds(make, "trialing")
    holds(make, "canceled", price="price_quiet", ended_at=NOW)
    store = admins.app.service.store
    (held,) = [key for page in store.link.scan_nodes(store.keys.held_prices(b"*")) for key in page]
    store.link.call(held, b"DEL", held)
    assert trials.has_held("r-1", "supporter")
    list(admins.app.service.retention.iterate_steps(LATER))
    assert trials.has_held("r-1", "supporter")


def test_trial_counts_under_every_merged_id(make: Maker, trials: Trials, admins: Admins) -> None:
    holds(make, "canceled", ended_at=NOW)
    for gone, stays in (("r-1", "r-2"), ("r-2", "r-3")):
        admins.call_json("ann", "POST", f"/v1/readers/{stays}/merge", {"from": gone})
    assert [trials.has_held(reader, "supporter") for reader in ("r-1", "r-2", "r-3")] == [True] * 3


def test_used_trial_is_exported_and_erased(make: Maker, trials: Trials, admins: Admins) -> None:
    holds(make, "canceled", ended_at=NOW)
    exported = admins.call_json("ann", "GET", "/v1/readers/r-1/export")["held_prices"]
    assert exported == [
        {
            "price": "price_month",
            "lookup_key": None,
            "product": "prod_x",
            "subscription": "sub_1",
            "created": "2033-03-29T03:33:20Z",
        }
    ]
    admins.call_json("ann", "DELETE", "/v1/readers/r-1?reason=asked")
    assert not trials.has_held("r-1", "supporter")
    assert admins.call_json("ann", "GET", "/v1/readers/r-1/export")["held_prices"] == []

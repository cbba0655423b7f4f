"""Test gifts: the plan limits them for each calendar month in the site's zone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from service.domain.meter import MeterWindow
from tests.running_service import ADMIN_KEY, POLICY

if TYPE_CHECKING:
    from tests.in_process_app import AllAtOnce, InProcessApp, MakeApp
    from tests.running_service import Serve

GENEROUS = POLICY.replace("[plans.vip]\n", "[plans.vip]\ngifts_per_month = 2\n")
NOON = "2082-11-24T12:00:00Z"


@pytest.fixture
def app(make_app: MakeApp, store_url: str) -> InProcessApp:
    made = make_app(store_url, GENEROUS)
    made.clock.at(NOON)
    made.grant("r")
    return made


def give_gift(app: InProcessApp, reader: str = "r", story: str = "s", **more: Any) -> tuple[int, dict[str, Any]]:
    answer = app.call("POST", "/v1/gifts", {"reader": reader, "story": story, **more})
    return answer.status_code, answer.get_json()


def test_gift_is_a_pass_for_one_for_thirty_days_with_allowance(app: InProcessApp) -> None:
    status, gift = give_gift(app)
    assert (status, gift["openings"], gift["until"], gift["actor"]) == (201, 1, "2082-12-24T12:00:00Z", "web")
    assert gift["gifts"] == {"limit": 2, "used": 1, "left": 1, "resets_at": "2082-12-01T05:00:00Z"}
    assert app.ask("s", visitor="friend", **{"pass": gift["pass"]})["reason"] == "gift"
    body = app.call("GET", "/v1/gifts/r").get_json()
    assert {name: body[name] for name in ("reader", "limit", "used", "left")} == {
        "reader": "r", "limit": 2, "used": 1, "left": 1,
    }  # fmt: skip
    assert [(item["id"], item["used"]) for item in body["items"]] == [(gift["id"], 1)]


def test_gift_beyond_the_monthly_allowance_is_409_until_next_month(app: InProcessApp) -> None:
    assert [give_gift(app)[0] for _ in range(3)] == [201, 201, 409]
    assert give_gift(app)[1]["type"] == "urn:paywall:problem:gifts-used"
    app.clock.at("2082-12-01T04:59:59Z")
    assert give_gift(app)[0] == 409
    app.clock.at("2082-12-01T05:00:00Z")
    assert give_gift(app)[0] == 201


def test_revoked_gift_still_counts_for_the_month(app: InProcessApp) -> None:
    _, gift = give_gift(app)
    app.call("DELETE", f"/v1/passes/{gift['id']}", admin=True)
    assert [give_gift(app)[0], give_gift(app)[0]] == [201, 409]


def test_reader_without_a_gift_plan_is_409(app: InProcessApp) -> None:
    status, found = give_gift(app, "stranger")
    assert (status, found["type"]) == (409, "urn:paywall:problem:no-gifts")
    app.grant("supporter", plan="supporter")
    assert give_gift(app, "supporter")[0] == 409
    assert app.call("GET", "/v1/gifts/stranger").get_json()["limit"] == 0


def test_audit_names_the_reader_who_gave_the_gift(app: InProcessApp) -> None:
    _, gift = give_gift(app)
    record = app.call("GET", "/v1/audit", admin=True).get_json()["items"][0]
    assert (record["action"], record["reader"], record["target"], record["actor"]) == (
        "pass.create", "r", gift["id"], "web",
    )  # fmt: skip


def test_gifts_of_a_merged_id_count_for_both_ids(app: InProcessApp) -> None:
    assert give_gift(app)[0] == 201
    app.grant("stays")
    merged = app.call("POST", "/v1/readers/stays/merge", {"from": "r"}, admin=True)
    assert merged.status_code == 200, merged.text
    assert [give_gift(app, "stays")[0], give_gift(app, "r")[0]] == [201, 409]


def test_invalid_gift_request_is_422_with_its_field(app: InProcessApp) -> None:
    for field, bad in [("openings", 0), ("openings", 101), ("until", NOON), ("until", "2083-06-01T00:00:00Z")]:
        wrong: dict[str, Any] = {field: bad}
        status, found = give_gift(app, **wrong)
        assert (status, found["errors"][0]["field"]) == (422, field)
    assert app.call("POST", "/v1/gifts", {"reader": "r", "story": "s"}, admin=True).status_code == 403
    assert app.call("GET", "/v1/gifts/r").get_json()["used"] == 0


def test_gift_claim_left_by_a_crash_is_released(app: InProcessApp) -> None:
    now = app.clock()
    gifts = app.service.gift_allowances
    month = MeterWindow(int(now) - 86_400, int(now) + 86_400)
    assert gifts.claim("r", "sp_never_made", month, 2, now)
    assert [give_gift(app)[0], give_gift(app)[0]] == [201, 409]
    app.clock.now += 61
    assert [give_gift(app)[0], give_gift(app)[0]] == [201, 409]


@pytest.mark.full
def test_concurrent_gifts_never_exceed_the_allowance(serve: Serve, all_at_once: AllAtOnce) -> None:
    paywall = serve(POLICY.replace("[plans.vip]\n", "[plans.vip]\ngifts_per_month = 5\n"))
    paywall.grant("r")
    answers = all_at_once(20, lambda n: paywall.post("/v1/gifts", {"reader": "r", "story": f"s{n}"}).status_code)
    assert sorted(answers) == [201] * 5 + [409] * 15
    assert len(paywall.get("/v1/passes", ADMIN_KEY).json()["items"]) == 5

"""Test the routes of groups that their owner manages, and what an invitation changed in one character opens."""

from __future__ import annotations

from typing import Any

import pytest

from service.adapters.redis.client.keys import reader_hash
from tests.admin_app import ADMINS, SECRETS, Admins
from tests.in_process_app import MakeApp
from tests.recorded_stripe import DAY, NOW, Maker, Stage
from tests.running_service import WITH_GROUPS
from tests.use_cases.privacy.conftest import holding

END = "2033-06-01T00:00:00Z"
SEATS, INVITES, ACCEPT = "/v1/groups/sub_1/seats", "/v1/groups/sub_1/invites", "/v1/invites/accept"
OWNER = {"owner": "r-1"}


@pytest.fixture
def app(make_app: MakeApp, valkey_url: str) -> Admins:
    """Return an app with a plan with seats, and the group `sub_1` of three seats, which is `r-1`'s."""
    app = Admins(make_app(valkey_url, WITH_GROUPS, PAYWALL_ADMIN_KEYS=ADMINS, PAYWALL_SECRETS=SECRETS))
    app.app.clock.now = float(NOW)
    sell(app, 3)
    return app


def sell(app: Admins, quantity: int, **fields: Any) -> None:
    stage = Stage.over(app.app.service)
    make = Maker(stage)
    obj = make.subscription(price="price_seat_month", quantity=quantity, **fields)
    kind = "deleted" if fields.get("status") == "canceled" else "updated"
    make.deliver(f"customer.subscription.{kind}", obj, int(app.app.clock()), id=f"evt_{kind}")


def invite(app: Admins, until: str = END) -> dict[str, Any]:
    return app.call_json("site", "POST", INVITES, {**OWNER, "until": until}, 201)


def accept(app: Admins, token: object, reader: object = "r-5") -> int:
    return app.call("site", "POST", ACCEPT, {"invite": token, "reader": reader}).status_code


def groups(app: Admins, owner: str = "r-1") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = app.call_json("site", "GET", "/v1/groups", query_string={"owner": owner})["groups"]
    return found


def fields(answer: Any) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [error["field"] for error in answer.get_json()["errors"]]


def test_owner_manages_seats_and_invitations(app: Admins) -> None:
    assert groups(app, "r-2") == []
    (empty,) = groups(app)
    assert empty == {"subscription": "sub_1", "plan": "newsroom", "quantity": 3, "used": 0, "seats": [], "invites": []}
    given = app.call_json("site", "PUT", f"{SEATS}/r-4", OWNER)
    assert given == {
        "subscription": "sub_1",
        "quantity": 3,
        "used": 1,
        "seats": [{"reader": "r-4", "since": "2033-05-18T03:33:20Z"}],
        "removed": [],
    }
    made = invite(app)
    assert (set(made), made["until"]) == ({"id", "invite", "until"}, END)
    (group,) = groups(app)
    assert (group["invites"], group["used"]) == ([{"id": made["id"], "until": END}], 1)
    answer = app.call_json("site", "POST", ACCEPT, {"invite": made["invite"], "reader": "r-5"})
    assert answer == {"subscription": "sub_1", "reader": "r-5"}
    assert app.app.ask("s-1", reader="r-5")["reason"] == "seat"
    assert accept(app, made["invite"], "r-6") == 404
    assert accept(app, made["invite"]) == 200
    assert app.call_json("site", "DELETE", f"{SEATS}/r-5", OWNER)["used"] == 1
    assert accept(app, made["invite"]) == 404
    other = invite(app)
    for _ in range(2):
        withdrawn = app.call_json("site", "DELETE", f"{INVITES}/{other['id']}", OWNER)
        assert withdrawn == {"id": other["id"], "until": END}
    assert accept(app, other["invite"]) == 404
    assert app.call("site", "DELETE", f"{INVITES}/inv_unknown", OWNER).status_code == 404
    sell(app, 3, status="canceled", ended_at=NOW)
    assert groups(app) == []


def test_owners_changes_are_audited_as_the_sites(app: Admins) -> None:
    app.call_json("site", "PUT", f"{SEATS}/r-4", OWNER)
    app.call_json("site", "DELETE", f"{SEATS}/r-4", OWNER)
    accept(app, invite(app)["invite"])
    rows = [(row["actor"], row["action"], row["reader"], row["target"], row["reason"]) for row in app.audit()]
    assert rows == [
        ("site:web", "seat.give", "r-5", "sub_1", None),
        ("site:web", "seat.take", "r-4", "sub_1", None),
        ("site:web", "seat.give", "r-4", "sub_1", None),
    ]


def test_foreign_owner_is_403_and_unknown_group_404(app: Admins) -> None:
    made = invite(app)
    for owner in ("r-2", "r-4"):
        body = {"owner": owner}
        for method, path, sent in [
            ("PUT", f"{SEATS}/r-4", body),
            ("DELETE", f"{SEATS}/r-4", body),
            ("POST", INVITES, {**body, "until": END}),
            ("DELETE", f"{INVITES}/{made['id']}", body),
        ]:
            answer = app.call("site", method, path, sent)
            assert (answer.status_code, answer.get_json()["type"]) == (403, "urn:paywall:problem:not-owner")
            unknown = path.replace("sub_1", "sub_9")
            assert app.call("site", method, unknown, sent).status_code == 404
    assert accept(app, made["invite"]) == 200


def test_recipient_of_a_gift_manages_the_group(app: Admins) -> None:
    sell(app, 2, id="sub_2", metadata={"reader_id": "r-payer", "gift_recipient": "r-given"})
    app.call_json("ann", "POST", "/v1/readers/r-heir/merge", {"from": "r-given"})
    for owner, owned in (("r-payer", []), ("r-given", ["sub_2"]), ("r-heir", ["sub_2"])):
        assert [group["subscription"] for group in groups(app, owner)] == owned
    made = app.call_json("site", "POST", "/v1/groups/sub_2/invites", {"owner": "r-given", "until": END}, 201)
    assert [invite["id"] for invite in groups(app, "r-heir")[0]["invites"]] == [made["id"]]
    app.call_json("ann", "DELETE", "/v1/readers/r-heir", query_string={"reason": "asked", "force": "true"})
    assert groups(app, "r-heir") == []
    assert accept(app, made["invite"]) == 404


def test_full_group_is_409(app: Admins) -> None:
    made = [invite(app) for _ in range(3)]
    assert app.call("site", "POST", INVITES, {**OWNER, "until": END}).status_code == 409
    for reader in ("r-a", "r-b", "r-c"):
        app.call_json("site", "PUT", f"{SEATS}/{reader}", OWNER)
    assert app.call("site", "PUT", f"{SEATS}/r-d", OWNER).status_code == 409
    assert accept(app, made[0]["invite"]) == 409


def test_invitation_changed_in_any_one_character_is_404(app: Admins) -> None:
    token = invite(app)["invite"]
    for place, character in enumerate(token):
        other = "A" if character != "A" else "B"
        assert accept(app, token[:place] + other + token[place + 1 :]) == 404, place
    for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        assert other == token[-1] or accept(app, token[:-1] + other) == 404, other
    for other in (token[:-1], token + "A", token + "=", token.replace(".", ""), "", "x", "é", ".." * 900):
        assert accept(app, other) == 404, other
    assert accept(app, token) == 200


def test_token_of_another_purpose_is_no_invitation(app: Admins) -> None:
    body = {"story": "s-1", "openings": 1, "until": END, "reason": "x"}
    story_pass = app.call_json("ann", "POST", "/v1/passes", body, 201)["pass"]
    assert accept(app, story_pass) == 404
    made = invite(app)
    assert app.app.ask("s-1", visitor="v-1", **{"pass": made["invite"]})["reason"] != "gift"


def test_wrong_owner_or_reader_is_422(app: Admins) -> None:
    for wrong in (None, 7, True, ["r-1"], {"id": "r-1"}, "", "a/b", " r-1", "r" * 129):
        assert fields(app.call("site", "PUT", f"{SEATS}/r-4", {"owner": wrong})) == ["owner"]
        assert fields(app.call("site", "DELETE", f"{SEATS}/r-4", {"owner": wrong})) == ["owner"]
        assert fields(app.call("site", "POST", INVITES, {"owner": wrong, "until": END})) == ["owner"]
        assert fields(app.call("site", "POST", ACCEPT, {"invite": "x", "reader": wrong})) == ["reader"]
        if isinstance(wrong, str):
            assert fields(app.call("site", "GET", "/v1/groups", query_string={"owner": wrong})) == ["owner"]


def test_invitation_needs_an_end_ahead(app: Admins) -> None:
    now = "2033-05-18T03:33:20Z"
    for until in (None, 7, True, [END], "", "never", "2033-06-01", "2033-06-01T00:00:00", now, "30d"):
        assert fields(app.call("site", "POST", INVITES, {**OWNER, "until": until})) == ["until"]
    assert fields(app.call("site", "POST", INVITES, OWNER)) == ["until"]


def test_invitation_of_another_type_is_422(app: Admins) -> None:
    for wrong in (None, 7, True, ["x"], {"x": 1}):
        assert fields(app.call("site", "POST", ACCEPT, {"invite": wrong, "reader": "r-5"})) == ["invite"]
    assert fields(app.call("site", "POST", ACCEPT, {"invite": "x", "reader": "r-5", "owner": "r-1"})) == ["owner"]
    assert sorted(fields(app.call("site", "POST", ACCEPT, {}))) == ["invite", "reader"]


def test_query_and_body_take_nothing_else(app: Admins) -> None:
    assert fields(app.call("site", "GET", "/v1/groups")) == ["owner"]
    assert fields(app.call("site", "GET", "/v1/groups", query_string="owner=r-1&owner=r-2")) == ["owner"]
    assert fields(app.call("site", "GET", "/v1/groups", query_string={"owner": "r-1", "limit": 1})) == ["limit"]
    assert fields(app.call("site", "DELETE", f"{SEATS}/r-4", {**OWNER, "reason": "x"})) == ["reason"]
    assert fields(app.call("site", "PUT", f"{SEATS}/a%2Fb", OWNER)) == ["reader"]
    assert app.call("site", "PUT", f"{SEATS}/r-4", [OWNER]).status_code == 422
    assert app.call("site", "PUT", f"{SEATS}/r-4").status_code == 415


def test_repeated_invitation_request_gets_the_first_answer(app: Admins) -> None:
    body, headers = {**OWNER, "until": END}, {"Idempotency-Key": "one"}
    first, again = (app.call_json("site", "POST", INVITES, body, 201, headers=headers) for _ in range(2))
    assert first == again
    assert len(groups(app)[0]["invites"]) == 1


def test_export_names_groups_seats_and_invitations(app: Admins) -> None:
    used, unused = invite(app), invite(app)
    accept(app, used["invite"])
    owner = app.call_json("ann", "GET", "/v1/readers/r-1/export")
    assert (owner["groups"][0]["invites"], owner["seats"]) == ([{"id": unused["id"], "until": END}], [])
    member = app.call_json("ann", "GET", "/v1/readers/r-5/export")
    assert member["groups"] == []
    assert member["seats"] == [{"subscription": "sub_1", "since": "2033-05-18T03:33:20Z", "invites": [used["id"]]}]


def test_erasing_a_member_frees_the_seat_and_forgets_the_invitation(app: Admins) -> None:
    used, other = invite(app), invite(app)
    accept(app, used["invite"], "zoe-7f31")
    app.call_json("ann", "DELETE", "/v1/readers/zoe-7f31", query_string={"reason": "asked"})
    assert holding(app.app.service.store.link, "zoe-7f31") == []
    assert groups(app)[0]["seats"] == []
    assert accept(app, used["invite"], "zoe-7f31") == 404
    assert accept(app, other["invite"], "zoe-7f31") == 200
    assert app.app.ask("s-1", reader="zoe-7f31")["reason"] == "seat"


def test_erasing_the_owner_ends_open_invitations(app: Admins) -> None:
    used, unused = invite(app), invite(app)
    accept(app, used["invite"])
    assert app.call("ann", "DELETE", "/v1/readers/r-1", query_string={"reason": "asked"}).status_code == 409
    app.call_json("ann", "DELETE", "/v1/readers/r-1", query_string={"reason": "asked", "force": "true"})
    left = [key for key in holding(app.app.service.store.link, reader_hash("r-1").decode()) if b"intents" not in key]
    assert left == []
    assert groups(app) == []
    assert accept(app, unused["invite"], "r-6") == 404
    assert accept(app, used["invite"]) == 200
    assert app.call("site", "PUT", f"{SEATS}/r-6", OWNER).status_code == 403


def test_invitation_lists_expire_in_the_store_only_after_their_end(app: Admins) -> None:
    invite(app)
    link, keys = app.app.service.store.link, app.app.service.store.keys
    key = keys.invitations("subscription:sub_1")
    assert link.call(key, b"TTL", key) > 13 * DAY

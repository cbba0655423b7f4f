"""Test story passes over the whole app, on Valkey and Redis 8."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

import pytest

from service.domain.catalogue import DAY

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp, MakeApp

NOON = "2082-11-24T12:00:00Z"
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.fixture
def service_app(service_app: InProcessApp) -> InProcessApp:
    service_app.clock.at(NOON)
    return service_app


def create_pass(
    app: InProcessApp, story: str = "s", openings: int = 1, until: str = "2082-12-01T00:00:00Z"
) -> dict[str, Any]:
    body = {"story": story, "openings": openings, "until": until, "reason": "the newsletter"}
    answer = app.call("POST", "/v1/passes", body, admin=True)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def shown(app: InProcessApp, pass_id: str) -> dict[str, Any]:
    found: dict[str, Any] = app.call("GET", f"/v1/passes/{pass_id}", admin=True).get_json()
    return found


def opened(answer: dict[str, Any]) -> bool:
    return bool(answer["reason"] == "gift")


def without(app: InProcessApp, **more: Any) -> Any:
    """Return the answer to the same request without a pass and without the decision ID."""
    return {name: value for name, value in app.ask("s", **more).items() if name != "decision_id"}


def test_created_pass_has_the_fields_of_the_contract(service_app: InProcessApp) -> None:
    made = create_pass(service_app, openings=3)
    assert list(made) == ["id", "pass", "story", "openings", "used", "until", "status", "actor"]
    assert (made["story"], made["openings"], made["used"], made["status"], made["actor"]) == (
        "s",
        3,
        0,
        "active",
        "ann",
    )
    assert made["until"] == "2082-12-01T00:00:00Z"
    assert shown(service_app, made["id"]) == made


def test_pass_opens_its_story_with_reason_gift_and_counts_nothing(service_app: InProcessApp) -> None:
    made = create_pass(service_app)
    answer = service_app.ask("s", visitor="v", **{"pass": made["pass"]}, explain=True)
    assert (answer["show"], answer["reason"], answer["meter"], answer["offer"]) == ("full", "gift", None, None)
    assert answer["source"] == {"type": "gift", "id": made["id"], "plan": None}
    assert answer["until"] == answer["refresh_after"] == "2082-12-01T00:00:00Z"
    assert answer["parts"] == {"facts": "open", "notebook": "open"}
    assert answer["features"] == []
    assert [step["step"] for step in answer["explain"]] == ["free", "entitlement", "pass"]
    assert answer["explain"][2] == {
        "step": "pass",
        "values": {"id": made["id"], "until": "2082-12-01T00:00:00Z"},
        "verdict": "gift",
    }
    assert service_app.ask("other", visitor="v")["meter"]["used"] == 1


def test_decision_by_a_pass_is_returned_unchanged_later(service_app: InProcessApp) -> None:
    answer = service_app.ask("s", visitor="v", **{"pass": create_pass(service_app)["pass"]})
    body = service_app.call("GET", f"/v1/decisions/{answer['decision_id']}", admin=True).get_json()
    assert (body["reason"], body["explain"][-1]["step"]) == ("gift", "pass")


def test_pass_comes_after_an_entitlement_and_before_the_meter(service_app: InProcessApp) -> None:
    made = create_pass(service_app)
    service_app.grant("entitled", until=None)
    assert service_app.ask("s", reader="entitled", **{"pass": made["pass"]})["reason"] == "grant"
    assert shown(service_app, made["id"])["used"] == 0
    assert opened(service_app.ask("s", reader="other", **{"pass": made["pass"]}))


def test_opening_is_counted_once_per_person(service_app: InProcessApp) -> None:
    made = create_pass(service_app, openings=2)
    for _ in range(3):
        assert opened(service_app.ask("s", visitor="v", **{"pass": made["pass"]}))
    assert shown(service_app, made["id"])["used"] == 1
    assert opened(service_app.ask("s", reader="r", **{"pass": made["pass"]}))
    assert (shown(service_app, made["id"])["used"], shown(service_app, made["id"])["status"]) == (2, "used_up")
    late = service_app.ask("s", visitor="late", **{"pass": made["pass"]})
    assert (late["reason"], late["meter"]["used"]) == ("metered", 1)
    assert opened(service_app.ask("s", visitor="v", **{"pass": made["pass"]})), "who was let in stays in"


def test_reader_let_in_before_a_merge_stays_the_same_person(service_app: InProcessApp) -> None:
    given = create_pass(service_app, openings=3)
    for reader in ("old", "older", "new"):
        assert opened(service_app.ask("s", reader=reader, **{"pass": given["pass"]}))
    for stays, gone in (("old", "older"), ("heir", "old"), ("new", "heir")):
        merged = service_app.call("POST", f"/v1/readers/{stays}/merge", {"from": gone}, admin=True)
        assert merged.status_code == 200, merged.text
    for reader in ("old", "older", "heir", "new"):
        assert opened(service_app.ask("s", reader=reader, **{"pass": given["pass"]}))
    assert shown(service_app, given["id"])["used"] == 3


def test_reader_let_in_after_a_merge_counts_once_for_both_ids(service_app: InProcessApp) -> None:
    merged = service_app.call("POST", "/v1/readers/stays/merge", {"from": "gone"}, admin=True)
    assert merged.status_code == 200, merged.text
    for first, second in (("gone", "stays"), ("stays", "gone")):
        made = create_pass(service_app)
        for reader, count in ((first, True), (second, False), (second, True)):
            assert opened(service_app.ask("s", reader=reader, count=count, **{"pass": made["pass"]}))
        assert shown(service_app, made["id"])["used"] == 1
        assert not opened(service_app.ask("s", reader="another", **{"pass": made["pass"]}))


def test_visitor_who_signs_in_keeps_the_opening_alone(service_app: InProcessApp) -> None:
    made = create_pass(service_app, openings=1)
    link = {"pass": made["pass"]}
    assert opened(service_app.ask("s", visitor="v", **link))
    assert opened(service_app.ask("s", visitor="v", reader="r", **link))
    assert opened(service_app.ask("s", reader="r", **link)), "at home, on another device"
    assert opened(service_app.ask("s", visitor="v", reader="r2", **link)), "the same browser"
    assert not opened(service_app.ask("s", reader="r2", **link)), "but its second reader takes nothing along"
    assert not opened(service_app.ask("s", visitor="v3", **link))
    assert shown(service_app, made["id"])["used"] == 1


def test_uncounted_check_with_a_pass_opens_and_counts_nothing(service_app: InProcessApp) -> None:
    made = create_pass(service_app)
    for visitor in "abc":
        assert opened(service_app.ask("s", visitor=visitor, count=False, **{"pass": made["pass"]}))
    assert shown(service_app, made["id"])["used"] == 0
    service_app.ask("s", visitor="a", **{"pass": made["pass"]})
    assert not opened(service_app.ask("s", visitor="b", count=False, **{"pass": made["pass"]}))
    assert opened(service_app.ask("s", visitor="a", count=False, **{"pass": made["pass"]}))


def test_bot_or_anonymous_request_is_answered_as_without_the_pass(service_app: InProcessApp) -> None:
    made = create_pass(service_app)
    link = {"pass": made["pass"]}
    for agent in (CRAWLER, "WhatsApp/2.23.20.0", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"):
        context = {"context": {"user_agent": agent}}
        answer = service_app.ask("s", visitor="v", count=False, **link, **context)
        del answer["decision_id"]
        assert answer == without(service_app, visitor="v", count=False, **context)
    assert service_app.ask("s", **link)["reason"] == "sign_in_required"
    assert shown(service_app, made["id"])["used"] == 0


def test_invalid_pass_changes_nothing_in_the_answer(service_app: InProcessApp) -> None:
    good, other = create_pass(service_app), create_pass(service_app, "other")
    revoked, ended = create_pass(service_app), create_pass(service_app, until="2082-11-24T13:00:00Z")
    assert service_app.call("DELETE", f"/v1/passes/{revoked['id']}", admin=True).status_code == 200
    service_app.clock.at("2082-11-24T13:00:00Z")
    token = good["pass"]
    changed = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(0, len(token), 7)]
    last = token[:-1] + ("A" if token[-1] != "A" else "B")
    odd = ["", "x", "a.b.c", "é" * 10, token + "=", token + " ", token.rsplit(".", 1)[0] + ".", "." * 40, "x" * 8000]
    for bad in [other["pass"], revoked["pass"], ended["pass"], *changed, last, *odd]:
        answer = service_app.ask("s", visitor="v", count=False, **{"pass": bad})
        del answer["decision_id"]
        assert answer == without(service_app, visitor="v", count=False), bad
    assert opened(service_app.ask("s", visitor="v", count=False, **{"pass": token}))


def test_pass_opens_until_its_exact_end(service_app: InProcessApp) -> None:
    made = create_pass(service_app, until="2082-11-24T13:00:00Z")
    service_app.clock.at("2082-11-24T12:59:59Z")
    assert opened(service_app.ask("s", visitor="v", **{"pass": made["pass"]}))
    service_app.clock.at("2082-11-24T13:00:00Z")
    assert not opened(service_app.ask("s", visitor="v", **{"pass": made["pass"]}))
    assert shown(service_app, made["id"])["status"] == "expired"


def test_anonymous_answer_changes_with_the_end_of_its_pass(service_app: InProcessApp) -> None:
    made = create_pass(service_app, until="2082-11-24T13:00:00Z")
    story = {"id": "s", "tier": "supporters"}
    locked = service_app.ask(story, **{"pass": made["pass"]})
    assert locked["next"][0] == {"step": "sign_in", "verified": False}
    assert locked["refresh_after"] == "2082-11-24T13:00:00Z"
    service_app.clock.at("2082-11-24T13:00:00Z")
    assert service_app.ask(story, **{"pass": made["pass"]})["next"][0]["step"] == "subscribe"


def test_revoking_a_pass_is_immediate_and_repeatable(service_app: InProcessApp) -> None:
    made = create_pass(service_app, openings=5)
    assert opened(service_app.ask("s", visitor="v", **{"pass": made["pass"]}))
    for _ in range(2):
        answer = service_app.call("DELETE", f"/v1/passes/{made['id']}", {"reason": "a mistake"}, admin=True)
        assert (answer.status_code, answer.get_json()["status"]) == (200, "revoked")
    assert not opened(service_app.ask("s", visitor="v", **{"pass": made["pass"]}))


def test_creating_and_revoking_a_pass_are_audited_once_each(service_app: InProcessApp) -> None:
    made = create_pass(service_app)
    for _ in range(2):
        service_app.call("DELETE", f"/v1/passes/{made['id']}?reason=over", admin=True)
    records = service_app.call("GET", "/v1/audit", admin=True).get_json()["items"]
    reports = [(r["action"], r["target"], r["reader"], r["before"], r["after"], r["reason"]) for r in records]
    assert reports == [
        ("pass.revoke", made["id"], None, {"status": "active"}, {"status": "revoked"}, "over"),
        (
            "pass.create",
            made["id"],
            None,
            None,
            {"story": "s", "openings": 1, "until": "2082-12-01T00:00:00Z", "status": "active"},
            "the newsletter",
        ),
    ]


def test_passes_are_listed_newest_first_in_pages_without_deleted_ones(service_app: InProcessApp) -> None:
    start = service_app.clock.now
    names = []
    for number in range(7):
        service_app.clock.now = start + number
        names.append(create_pass(service_app, f"s{number}")["id"])
    found, after = [], ""
    while True:
        page = service_app.call("GET", f"/v1/passes?limit=3{after}", admin=True).get_json()
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert found == names[::-1]
    passes = service_app.service.passes
    link = service_app.service.store.link
    gone = passes.keys.story_pass(names[3])
    link.call(gone, b"DEL", gone)
    page = service_app.call("GET", "/v1/passes?limit=6", admin=True).get_json()
    assert ([item["id"] for item in page["items"]], page["next"]) == ([n for n in names[::-1] if n != names[3]], None)
    assert passes.prune_list(start + DAY) == 1
    assert passes.prune_list(start + DAY) == 0


def test_passes_are_sent_as_csv_when_accepted(service_app: InProcessApp) -> None:
    create_pass(service_app, "=1+1")
    answer = service_app.call("GET", "/v1/passes", admin=True, headers={"Accept": "text/csv"})
    assert answer.mimetype == "text/csv"
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["story"], row["openings"], row["until"]) == ("'=1+1", "1", "2082-12-01T00:00:00Z")


def test_repeat_with_the_same_idempotency_key_is_the_same_pass(service_app: InProcessApp) -> None:
    body = {"story": "s", "openings": 1, "until": "2082-12-01T00:00:00Z", "reason": "why"}
    answers = [
        service_app.call("POST", "/v1/passes", body, admin=True, headers={"Idempotency-Key": "k"}) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].get_json() == answers[1].get_json()
    body["openings"] = 2
    again = service_app.call("POST", "/v1/passes", body, admin=True, headers={"Idempotency-Key": "k"})
    assert again.status_code == 409


def test_invalid_pass_request_is_422_with_its_field(service_app: InProcessApp) -> None:
    good = {"story": "s", "openings": 1, "until": "2082-12-01T00:00:00Z", "reason": "why"}
    for field, bad in [
        ("openings", 0), ("openings", True), ("openings", "1"), ("openings", 100_001), ("until", NOON),
        ("until", None), ("until", "2083-01-01T00:00:00"), ("story", ""), ("reason", " "), ("more", 1),
    ]:  # fmt: skip
        answer = service_app.call("POST", "/v1/passes", {**good, field: bad}, admin=True)
        assert (answer.status_code, [e["field"] for e in answer.get_json()["errors"]]) == (422, [field]), (field, bad)
    assert service_app.call("GET", "/v1/passes/sp_unknown", admin=True).status_code == 404
    assert service_app.call("DELETE", "/v1/passes/sp_unknown", admin=True).status_code == 404
    assert service_app.call("POST", "/v1/passes", good).status_code == 403


def test_fast_route_and_flask_view_answer_alike_with_a_pass(service_app: InProcessApp) -> None:
    made = create_pass(service_app)
    body = {"story": {"id": "s"}, "visitor": "v", "pass": made["pass"], "count": False, "context": {"user_agent": "M"}}
    hot, cold = (service_app.call("POST", "/v1/access", body, hot=hot).get_json() for hot in (True, False))
    assert hot.pop("decision_id") != cold.pop("decision_id")
    assert hot == cold
    assert opened(hot)


def test_pass_of_a_rotated_secret_still_opens(make_app: MakeApp, valkey_url: str) -> None:
    old = make_app(valkey_url, PAYWALL_SECRETS="the-first-secret-0123456789abcdef")
    old.clock.at(NOON)
    made = create_pass(old, openings=9)
    new = make_app(valkey_url, PAYWALL_SECRETS="the-second-secret-0123456789abcdef,the-first-secret-0123456789abcdef")
    new.clock.at(NOON)
    assert opened(new.ask("s", visitor="v", **{"pass": made["pass"]}))
    assert len(new.call("GET", "/.well-known/jwks.json").get_json()["keys"]) == 2
    gone = make_app(valkey_url, PAYWALL_SECRETS="the-second-secret-0123456789abcdef")
    gone.clock.at(NOON)
    assert not opened(gone.ask("s", visitor="w", **{"pass": made["pass"]}))

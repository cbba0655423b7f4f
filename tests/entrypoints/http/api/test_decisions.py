"""Test `GET /v1/decisions/{id}` and `explain`: decisions as answered, their history, and other times."""

from __future__ import annotations

from typing import Any

import pytest

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.readers.readers import write_of
from service.domain.sources import Item, Subscription
from service.entrypoints.responses.access import DecisionOut
from tests.admin_app import Admins, MakeAdmins
from tests.running_service import POLICY, story_of
from tests.store_servers import ON_VALKEY, Until

pytestmark = ON_VALKEY

FIELDS = {
    "decision_id",
    "at",
    "reader",
    "visitor",
    "story",
    "show",
    "reason",
    "tier",
    "parts",
    "meter",
    "source",
    "policy_revision",
    "next",
    "explain",
}
DAY = 86_400


def get_decision(admins: Admins, decision_id: str, status: int = 200) -> dict[str, Any]:
    return admins.call_json("ann", "GET", f"/v1/decisions/{decision_id}", status=status)


def ask(admins: Admins, story: str = "s-1", **more: Any) -> dict[str, Any]:
    return admins.app.ask(story, explain=True, **more)


def test_decision_is_returned_as_it_was_answered(admins: Admins) -> None:
    admins.app.clock.at("2082-11-20T10:00:00Z")
    answers = [ask(admins, f"s-{n}", reader="r-1", visitor="v-1") for n in range(7)]
    answers += [
        ask(admins, "s-9", visitor="v-2"),
        ask(admins, "s-9"),
        ask(admins, story="s-9", reader="r-2", count=False),
    ]
    admins.app.clock.at("2082-11-23T10:00:00Z")
    admins.grant("r-1")
    for answer in answers:
        found = get_decision(admins, answer["decision_id"])
        assert set(found) == FIELDS
        same = ("decision_id", "show", "reason", "tier", "parts", "meter", "source", "next", "explain")
        assert {name: found[name] for name in same} == {name: answer[name] for name in same}
        assert found["at"] == "2082-11-20T10:00:00Z"
        assert found["policy_revision"] == admins.app.service.settings.catalogue.revision
    assert {answer["reason"] for answer in answers} == {"metered", "meter_used_up", "sign_in_required"}
    first = get_decision(admins, answers[0]["decision_id"])
    assert (first["reader"], first["visitor"], first["story"]) == ("r-1", "v-1", "s-0")
    assert get_decision(admins, answers[-2]["decision_id"])["reader"] is None


def test_decision_explanation_has_the_history_of_its_source(admins: Admins) -> None:
    given = admins.grant("r-1", reason="press card")
    answer = ask(admins, reader="r-1")
    admins.app.clock.now += 1
    admins.call_json("ben", "DELETE", f"/v1/readers/r-1/grants/{given['id']}?reason=over")
    found = get_decision(admins, answer["decision_id"])
    assert found["source"] == answer["source"] == {"type": "grant", "id": given["id"], "plan": "vip"}
    *ladder, history = found["explain"]
    assert ladder == answer["explain"]
    assert history["step"] == "history"
    (change,) = history["values"]["changes"]
    assert change["source"] == f"grant:{given['id']}"
    assert change["audit"] == {"seq": 1, "actor": "ann", "action": "grant.create", "reason": "press card"}
    later = get_decision(admins, ask(admins, reader="r-1")["decision_id"])["explain"][-1]["values"]["changes"]
    assert [change["audit"]["action"] for change in later] == ["grant.create", "grant.revoke"]


def test_change_later_in_the_same_second_is_not_in_the_history(admins: Admins) -> None:
    admins.app.clock.now = 1_795_000_000.2
    answer = ask(admins, reader="r-1")
    admins.app.clock.now = 1_795_000_000.7
    admins.grant("r-1")
    assert [step["step"] for step in get_decision(admins, answer["decision_id"])["explain"]][-1] != "history"


def test_decision_ids_of_a_batch_are_found(admins: Admins) -> None:
    body = {
        "reader": "r-1",
        "stories": [story_of("s-1"), story_of("s-2", tier="supporters"), story_of("s-3", tier="free")],
    }
    decisions = admins.call_json("site", "POST", "/v1/access/batch", body)["decisions"]
    assert [get_decision(admins, each["decision_id"])["story"] for each in decisions] == ["s-1", "s-2", "s-3"]
    assert [get_decision(admins, each["decision_id"])["tier"] for each in decisions] == [
        "metered",
        "supporters",
        "free",
    ]


def test_decision_with_very_long_names_is_found(admins: Admins) -> None:
    parts = [f"{n:03}" + "ü" * 60 for n in range(90)]
    answer = ask(admins, story={"id": "s" * 128, "parts": parts}, reader="r" * 128, visitor="v" * 128)  # type: ignore[arg-type]  # `ask` takes a story as well
    assert len(answer["decision_id"]) <= 1_000
    assert get_decision(admins, answer["decision_id"])["parts"] == dict.fromkeys(
        parts, "locked" if answer["show"] == "upsell" else "open"
    )


def test_decision_is_kept_for_seven_days(admins: Admins) -> None:
    now = admins.app.clock.now
    decision = ask(admins, reader="r-1")["decision_id"]
    admins.app.clock.now = now + 7 * DAY - 1
    get_decision(admins, decision)
    admins.app.clock.now = now + 7 * DAY + 0.001
    get_decision(admins, decision, 404)


def test_decision_id_with_one_changed_character_is_404(admins: Admins) -> None:
    decision = ask(admins, reader="r-1")["decision_id"]
    for place in (*range(0, len(decision), 7), len(decision) - 1):
        for other in "AB_":
            if decision[place] != other:
                get_decision(admins, decision[:place] + other + decision[place + 1 :], 404)
    for other in (decision[:-1], decision + "A", decision + "=", decision.lower(), "01J", "ü", "x" * 1_001, "%00"):
        get_decision(admins, other, 404)


def test_decision_id_of_another_secret_is_404(admins: Admins, make_admins: MakeAdmins) -> None:
    get_decision(make_admins(PAYWALL_SECRETS="another-secret-0123456789abcdef01"), ask(admins)["decision_id"], 404)


def test_decision_of_an_erased_reader_is_404_and_a_later_one_found(admins: Admins) -> None:
    service, now = admins.app.service, admins.app.clock.now
    decision = ask(admins, reader="r-1")["decision_id"]
    service.erased.mark([reader_hash("r-1")], now + 1)
    get_decision(admins, decision, 404)
    admins.app.clock.now = now + 60
    get_decision(admins, ask(admins, reader="r-1")["decision_id"])


def test_decision_in_the_second_of_the_erasure_is_404(admins: Admins) -> None:
    admins.app.clock.now = 1_795_000_000.2
    decision = ask(admins, reader="r-1")["decision_id"]
    admins.app.clock.now = 1_795_000_000.7
    admins.call_json("ann", "DELETE", "/v1/readers/r-1?reason=asked")
    get_decision(admins, decision, 404)


def test_decision_id_of_a_rotated_secret_is_found(admins: Admins, make_admins: MakeAdmins) -> None:
    decision = ask(admins, reader="r-1")["decision_id"]
    get_decision(
        make_admins(PAYWALL_SECRETS=f"the-new-secret-0123456789abcdef01,{admins.app.service.settings.secrets[0]}"),
        decision,
    )


OTHER = POLICY.replace(
    '[tiers.metered]\nrequires = ["notebook"]', '[tiers.metered]\nrequires = ["no_ads", "notebook"]'
).replace('notebook = "The', 'archive = "The archive"\nnotebook = "The')


def test_decision_is_explained_with_its_own_policy(admins: Admins, make_admins: MakeAdmins, until: Until) -> None:
    admins.grant("r-1")
    answer = ask(admins, reader="r-1")
    until(lambda: admins.app.service.policies.find(admins.app.service.settings.catalogue.revision))
    other = make_admins(OTHER)
    found = get_decision(other, answer["decision_id"])
    assert found["explain"][:-1] == answer["explain"]
    assert found["policy_revision"] != other.app.service.settings.catalogue.revision


def test_decision_of_a_sign_in_tier_is_explained_with_its_own_policy(
    admins: Admins, make_admins: MakeAdmins, until: Until
) -> None:
    answers = [
        admins.app.ask({"id": "m", "tier": "members"}, reader="r-1", verified=verified, explain=True)
        for verified in (False, True)
    ]
    policies = admins.app.service.policies
    revision = admins.app.service.settings.catalogue.revision
    until(lambda: policies.find(revision))
    other = make_admins(OTHER.replace('sign_in = "verified"', ""))
    for answer in answers:
        found = get_decision(other, answer["decision_id"])
        assert (found["explain"], found["next"]) == (answer["explain"], answer["next"])
    kept = other.app.service.policies.find(revision)
    assert kept is not None
    assert kept.plans == admins.app.service.settings.catalogue.plans
    key = other.app.service.store.keys.shared("policies")
    other.app.service.store.link.call(key, b"HDEL", key, revision)
    for answer in answers:
        (_, by_sign_in, *_) = get_decision(make_admins(OTHER), answer["decision_id"])["explain"]
        assert (by_sign_in["step"], by_sign_in["values"]["sign_in"]) == ("sign_in", None)


RENAMED = POLICY.replace("[plans.vip]", "[plans.friends]").replace('name = "VIP"', 'name = "Friends"')
LONGER = POLICY + "\n[stripe]\nleeway_hours = 1\n"


@pytest.mark.parametrize("policy", [RENAMED, LONGER, POLICY.replace('prices = ["price_quiet"]', "")])
def test_decision_history_is_explained_with_its_own_policy(
    admins: Admins, make_admins: MakeAdmins, until: Until, policy: str
) -> None:
    admins.grant("r-1", until="2082-01-01T00:00:00Z")
    now = int(admins.app.clock.now)
    for status, price in (("trialing", "price_quiet"), ("active", "price_month"), ("past_due", "price_year")):
        items = (Item(price, None, None, 1, now, now + DAY),)
        sold = Subscription(f"sub_{status}", status, items, created=now, trial_end=now + DAY)
        admins.app.service.readers.write("r-1", write_of(sold, 1, ended=False, now=now, cause="event:evt_1"))
    decision = ask(admins, reader="r-1")["decision_id"]
    before = get_decision(admins, decision)
    assert len(before["explain"][-1]["values"]["changes"]) == 4
    until(lambda: admins.app.service.policies.find(admins.app.service.settings.catalogue.revision))
    assert get_decision(make_admins(policy), decision) == before


def test_decision_of_a_deleted_policy_has_no_invented_values(
    admins: Admins, make_admins: MakeAdmins, until: Until
) -> None:
    service = admins.app.service
    until(lambda: service.policies.find(service.settings.catalogue.revision))
    decision = ask(admins, reader="r-1")["decision_id"]
    other = make_admins(OTHER)
    key = service.store.keys.shared("policies")
    service.store.link.call(key, b"HDEL", key, service.settings.catalogue.revision)
    found = get_decision(other, decision)
    assert found["show"] == "full"
    assert found["meter"]["used"] == 1
    assert all(step["values"].get("requires") is None for step in found["explain"])


def test_policy_unused_for_long_is_deleted(admins: Admins, until: Until) -> None:
    service = admins.app.service
    policies = service.policies
    until(lambda: policies.find(service.settings.catalogue.revision))
    assert policies.prune(admins.app.clock.now - DAY) == 0
    assert policies.prune(admins.app.clock.now + DAY) == 1


# ---------------------------------------------------------------------------------------------------- another moment


def at(admins: Admins, moment: str, reader: str = "r-1", story: str = "s-1", tier: str = "metered") -> dict[str, Any]:
    now, clock = admins.app.clock.now, admins.app.clock
    wanted = clock.at(moment)
    clock.now = now
    return DecisionOut.write(admins.app.service.explainer.explain_access(reader, story, wanted, now, tier=tier))


@pytest.fixture
def past(admins: Admins) -> Admins:
    """Make a grant on the 3rd that was revoked on the 10th; now is the 20th."""
    clock = admins.app.clock
    clock.at("2082-11-03T10:00:00Z")
    given = admins.grant("r-1", until="2082-12-24T00:00:00Z")
    clock.at("2082-11-10T10:00:00Z")
    admins.call_json("ben", "DELETE", f"/v1/readers/r-1/grants/{given['id']}?reason=over")
    clock.at("2082-11-20T10:00:00Z")
    return admins


def test_explanation_of_a_past_time_is_as_it_was(past: Admins) -> None:
    then = at(past, "2082-11-05T00:00:00Z")
    assert (then["show"], then["reason"], then["source"]["type"]) == ("full", "grant", "grant")
    assert then["decision_id"] is None
    assert [change["audit"]["action"] for change in then["explain"][-1]["values"]["changes"]] == ["grant.create"]
    before = at(past, "2082-11-01T10:00:00Z", tier="supporters")
    assert (before["show"], before["reason"]) == ("upsell", "no_entitlement")
    after = at(past, "2082-11-10T10:00:00Z", tier="supporters")
    assert (after["show"], after["reason"]) == ("upsell", "no_entitlement")
    assert len(after["explain"][-1]["values"]["changes"]) == 2


def test_meter_of_a_past_time_is_reported_only_when_certain(past: Admins) -> None:
    nobody = at(past, "2082-11-15T00:00:00Z")
    assert (nobody["show"], nobody["reason"], nobody["meter"]["used"]) == ("full", "metered", 0)
    past.app.ask("s-1", reader="r-1")
    some = at(past, "2082-11-15T00:00:00Z")
    assert (some["show"], some["reason"], some["meter"]) == ("full", "metered", None)
    for number in range(2, 6):
        past.app.ask(f"s-{number}", reader="r-1")
    full = at(past, "2082-11-15T00:00:00Z")
    assert (full["show"], full["reason"], full["meter"]) == (None, None, None)
    assert "not known" in full["explain"][2]["verdict"]
    month_before = at(past, "2082-10-15T00:00:00Z")
    assert (month_before["show"], month_before["meter"]) == (None, None)


def test_explanation_of_a_future_time_assumes_no_change(past: Admins) -> None:
    for number in range(6):
        past.app.ask(f"s-{number}", reader="r-1")
    assert at(past, "2082-11-25T00:00:00Z", story="s-9")["reason"] == "meter_used_up"
    fresh = at(past, "2082-12-05T00:00:00Z", story="s-9")
    assert (fresh["reason"], fresh["meter"]["used"]) == ("metered", 0)


def test_meters_of_a_reader_at_another_time_are_of_its_window(past: Admins) -> None:
    past.app.ask("s-1", reader="r-1")
    assert past.app.reader("r-1")["meters"][0]["used"] == 1
    assert past.app.reader("r-1", at="2082-12-05T00:00:00Z")["meters"][0]["used"] == 0
    assert past.app.reader("r-1", at="2082-11-05T00:00:00Z")["meters"] == []

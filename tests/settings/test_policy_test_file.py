"""Test `paywall test-policy`: its files, its answers, and what it prints."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from service.domain.policy_cases import answer, find_differences
from service.entrypoints.cli import main
from service.settings.policy_test_file import read_cases
from tests.policies import parse_catalogue
from tests.running_service import POLICY
from tests.settings.test_policy_file import SAMPLE

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config" / "policy-tests.toml"


def run(tmp_path: Path, *cases: str, more: tuple[str, ...] = ()) -> Result:
    """Run cases against the sample policy, without a store and without secrets."""
    file = tmp_path / "cases.toml"
    file.write_text("".join(f"[[case]]\n{case}\n" for case in cases))
    env = {"PAYWALL_CONFIG": str(ROOT / "config"), "REDIS_URL": None, "STRIPE_API_KEY": None}
    return CliRunner().invoke(main, ["test-policy", str(file), *more], env=env)


def test_example_of_the_sample_policy_holds() -> None:
    found = read_cases([EXAMPLE], parse_catalogue(SAMPLE))
    assert (len(found.cases), found.mistakes) == (13, [])
    assert [one for case in found.cases for one in find_differences(case, parse_catalogue(SAMPLE))] == []
    used = {field for case in found.cases for field in case.expected}
    assert used == {"show", "reason", "tier", "next", "features", "plan", "parts", "meter"}


def test_plan_with_seats_is_held_by_a_seat_and_gives_its_buyer_nothing(tmp_path: Path) -> None:
    story = 'reader = "r"\nstory = { tier = "supporters" }\n'
    seat = 'plans = ["newsroom"]\nexpect = { show = "full", reason = "seat" }'
    buyer = 'plans = [{ plan = "newsroom", by = "BY" }]\nexpect = { show = "upsell", features = [] }'
    buyers = [story + buyer.replace("BY", by) for by in ("subscription", "trial", "grace", "gift")]
    no_seat = story + 'plans = [{ plan = "supporter", by = "seat" }]\nexpect.show = "upsell"'
    assert run(tmp_path, story + seat, *buyers, no_seat).output == "6 cases, none failed.\n"


def test_numbers_of_stories_that_reader_and_visitor_read_add_up(tmp_path: Path) -> None:
    case = 'reader = "r"\nvisitor = "v"\nread = { reader = 3, visitor = 2 }\nexpect.meter = { used = 5 }'
    assert run(tmp_path, case).output == "1 case, none failed.\n"


def test_each_difference_is_printed_as_given_expected_and_got(tmp_path: Path) -> None:
    wrong = 'name = "third"\nvisitor = "v"\nread = { visitor = 2 }\nexpect = { show = "full", reason = "metered" }'
    done = run(tmp_path, wrong, 'expect = { show = "upsell" }')
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        f"{tmp_path}/cases.toml: case.0 (third)",
        '  given     {"visitor":"v","read":{"visitor":2}}',
        '  expected  show = "full"',
        '  got       show = "upsell"',
        '  expected  reason = "metered"',
        '  got       reason = "meter_used_up"',
        "2 cases, 1 failed.",
    ]
    found = json.loads(run(tmp_path, wrong, more=("--json",)).output)
    assert (found["ok"], found["cases"], found["failed"], found["mistakes"]) == (False, 1, 1, [])
    assert found["differences"][1] == {
        "where": f"{tmp_path}/cases.toml: case.0",
        "name": "third",
        "given": {"visitor": "v", "read": {"visitor": 2}},
        "field": "reason",
        "expected": "metered",
        "got": "meter_used_up",
    }


@pytest.mark.parametrize(
    "expected",
    [
        "next = []",
        'next = ["sign_in", "wait"]',
        'next = [{ step = "sign_in", verified = true }, "subscribe", "wait"]',
        'next = ["sign_in", { step = "subscribe", plans = ["supporter"] }, "wait"]',
        'next = ["sign_in", "subscribe", { step = "wait", until = 2026-02-01T05:00:01Z }]',
        "meter = { left = 1 }",
        'tier = "supporters"',
        'plan = "supporter"',
        'features = ["no_ads"]',
        'parts = { facts = "locked" }',
    ],
)
def test_every_expected_field_can_differ(expected: str, tmp_path: Path) -> None:
    given = 'visitor = "v"\nread = { visitor = 2 }\nstory = { parts = ["facts", "photos"] }'
    good = 'next = ["sign_in", "subscribe", { step = "wait", until = 2026-02-01T05:00:00Z }]'
    assert (
        run(tmp_path, f"{given}\nexpect = {{ {good}, parts = {{ facts = 'open' }}, meter = {{ left = 0 }} }}").exit_code
        == 0
    )
    assert run(tmp_path, f"{given}\nexpect = {{ {expected} }}").exit_code == 1


def test_every_mistake_is_listed_with_file_and_place(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        'reader = 7\nplans = ["suporter", { plan = "vip", by = "magic" }]\nstory.tier = "metred"\nexpect = { show = "ful" }',
        "verified = true\nread = { visitor = 1 }\nexpect = {}",
        'visitor = "v"\nat = 2026-01-01\nread.visitor = [{ story = "a" }, 7]\nexpect = { next = ["sing_in"], colour = 1 }',
        'visitor = "v"\nread.visitor = [{ story = "a", at = 2026-02-01T00:00:00Z }]\nexpect = { features = ["no_adds"] }',
        'story = { age = "1d", published_at = 2026-01-01T00:00:00Z }\nexpect = { meter = { name = "storys" } }',
        "",
        'reader = "r"\nplans = [{ plan = "vip", from = 2026-02-01T00:00:00Z, until = 2026-02-01T00:00:00Z }]'
        '\nexpect.tier = "x"',
        more=(str(tmp_path / "none.toml"),),
    )
    assert done.exit_code == 2
    places = [
        line.removeprefix(f"{tmp_path}/").partition(": ")[2].partition(":")[0] for line in done.output.splitlines()
    ]
    assert places == [
        "case.0.reader",
        "case.0.plans.0.plan",
        "case.0.plans.1.by",
        "case.0.story.tier",
        "case.0.expect.show",
        "case.1.expect",
        "case.1.verified",
        "case.1.read.visitor",
        "case.2.at",
        "case.2.read.visitor.1",
        "case.2.expect.next.0.step",
        "case.2.expect.colour",
        "case.3.expect.features.0",
        "case.3.read.visitor.0.at",
        "case.4.story.age",
        "case.4.expect.meter.name",
        "case.5.expect",
        "case.6.plans.0.until",
        "case.6.expect.tier",
        "cannot be read",
    ]


def test_value_of_another_type_is_reported_in_the_words_of_toml(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        'reader = "r"\nplans = "vip"\nexpect = { next = "wait", parts = ["facts"], meter = "stories" }',
        'read = 3\nstory = "s"\nat = 2026-01-01\nexpect = "full"',
    )
    assert done.exit_code == 2
    found = {line.partition("case.")[2].partition(": ")[0]: line.split(": ")[-1] for line in done.output.splitlines()}
    a_list, a_table = "must be a list in [brackets], and is a text", "must be a table"
    assert found == {
        "0.plans": a_list,
        "0.expect.next": a_list,
        "0.expect.parts": a_table,
        "0.expect.meter": a_table,
        "1.at": "must be a time with an offset, such as 2026-11-20T09:00:00Z",
        "1.read": a_table,
        "1.story": a_table,
        "1.expect": a_table,
    }


@pytest.mark.parametrize("text", ["", "case = 7", "[[case", "[[cases]]\n", "\udcff"])
def test_file_without_cases_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "cases.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    found = read_cases([file], parse_catalogue(SAMPLE))
    assert found.cases == []
    assert str(file) in str(found.mistakes[0])


def test_usage_and_a_broken_policy_exit_with_2(tmp_path: Path) -> None:
    assert CliRunner().invoke(main, ["test-policy"]).exit_code == 2
    (tmp_path / "paywall.toml").write_text(SAMPLE.replace("[defaults]", "[default]"))
    done = CliRunner().invoke(main, ["test-policy", str(EXAMPLE)], env={"PAYWALL_CONFIG": str(tmp_path)})
    assert done.exit_code == 2
    assert "paywall.toml: defaults: is missing" in done.output


@pytest.mark.load
def test_thousand_cases_take_less_than_a_second() -> None:
    catalogue = parse_catalogue(SAMPLE)
    started = time.process_time()
    for _ in range(77):
        found = read_cases([EXAMPLE], catalogue)
        assert not [one for case in found.cases for one in find_differences(case, catalogue)]
    assert time.process_time() - started < 1.0


def test_plan_with_a_higher_limit_is_in_force_while_it_is_held(tmp_path: Path) -> None:
    plan = '[plans.reader]\nname = "Reader"\nfeatures = []\nprices = ["price_reader"]\nmeters = { stories = 20 }\n[tiers.free]'
    (tmp_path / "paywall.toml").write_text(SAMPLE.replace("[tiers.free]", plan))
    file = tmp_path / "cases.toml"
    held = (
        'reader = "r"\nread.reader = 5\nplans = ["reader"]\nexpect.meter = { limit = 20, plan = "reader", left = 15 }'
    )
    over = 'reader = "r"\nread.reader = 5\nplans = [{ plan = "reader", until = 2026-01-15T12:00:00Z }]'
    file.write_text(f"[[case]]\n{held}\n[[case]]\n{over}\nexpect = {{ show = 'upsell', meter = {{ limit = 5 }} }}\n")
    done = CliRunner().invoke(main, ["test-policy", str(file)], env={"PAYWALL_CONFIG": str(tmp_path)})
    assert (done.exit_code, done.output) == (0, "2 cases, none failed.\n")


CASES: list[tuple[str, dict[str, Any]]] = [
    ('reader = "r"\nplans = ["supporter"]\nstory = { id = "s", tier = "supporters" }', {"reader": "r"}),
    ('visitor = "v"\nread = { visitor = ["a", "b"] }\nstory.id = "s"', {"visitor": "v"}),
    ('reader = "n"\nvisitor = "v"\nread = { visitor = ["a", "b"] }\nstory.id = "s"', {"reader": "n", "visitor": "v"}),
    ('visitor = "v"\nread = { visitor = ["a", "b"] }\nstory.id = "a"', {"visitor": "v"}),
    ('reader = "n"\nstory = { id = "s", tier = "slow", parts = ["facts"] }', {"reader": "n"}),
    ('visitor = "v"\nstory = { id = "s", tier = "members" }', {"visitor": "v"}),
    ('reader = "n"\nverified = true\nstory = { id = "s", tier = "members" }', {"reader": "n", "verified": True}),
]


def test_cases_are_answered_as_an_access_check_answers(valkey_app: InProcessApp, tmp_path: Path) -> None:
    catalogue = parse_catalogue(POLICY)
    valkey_app.call("POST", "/v1/readers/r/grants", {"plan": "supporter", "reason": "x", "until": None}, admin=True)
    for read in ("a", "b"):
        valkey_app.call("POST", "/v1/access", {"story": {"id": read}, "visitor": "v"})
    file = tmp_path / "cases.toml"
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(valkey_app.clock()))
    file.write_text("".join(f"[[case]]\nat = {moment}\n{case}\nexpect.show = 'full'\n" for case, _ in CASES))
    found = read_cases([file], catalogue)
    assert found.mistakes == []
    for case, (_, asked) in zip(found.cases, CASES, strict=True):
        story: dict[str, Any] = {"id": case.story.id, "tier": case.story.tier, "parts": [*case.story.parts]}
        body = valkey_app.call("POST", "/v1/access", {"story": story, "count": False, **asked}).get_json()
        got = answer(case, catalogue)
        names = ("show", "tier", "next", "features", "parts")
        assert {name: got[name] for name in names} == {name: body[name] for name in names}
        assert (got["meter"] or {}).get("left") == (body["meter"] or {}).get("left")
        assert got["reason"] == body["reason"].replace("grant", "subscription")

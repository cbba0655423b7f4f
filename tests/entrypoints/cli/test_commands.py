"""Test the commands: exit status, `--json` and `--help`, with and without a running `serve`."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.running_service import Paywall, Serve
from tests.store_servers import wait_until

Done = subprocess.CompletedProcess


def refused(done: Done[str], status: int = 1) -> str:
    assert done.returncode == status, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()
    return done.stderr


@pytest.fixture
def alone(serve: Serve) -> Paywall:
    """Return an environment in which no service runs."""
    return serve(start=False)


def test_help_exits_0_and_unknown_word_exits_2(alone: Paywall) -> None:
    for words in (("--help",), ("serve", "-h")):
        done = alone.run(*words)
        assert (done.returncode, done.stderr) == (0, "")
    for more in (("--help",), ("grants", "add", "--help")):
        done = alone.command(*more)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Usage: paywall" in done.stdout
    for words in (("nope",), ("grants", "nope"), ("explain", "--nope"), ("serve", "extra")):
        refused(alone.command(*words), 2)


USAGE = [
    ["grants", "add"],
    ["grants", "add", "--reader", "r", "--plan", "vip", "--reason", "x"],
    ["grants", "add", "--reader", "r", "--plan", "vip", "--reason", "x", "--no-end", "--until", "2030-01-01T00:00:00Z"],
    ["grants", "add", "--reader", "r", "--reason", "x", "--no-end"],
    ["grants", "add", "--reader", "r", "--plan", "vip", "--feature", "no_ads", "--reason", "x", "--no-end"],
    ["grants", "add", "--reader", "r", "--plan", "vip", "--reason", "x", "--until", "tomorrow"],
    ["grants", "add", "--reader", "r", "--plan", "vip", "--reason", "x", "--until", "2030-01-01T00:00:00"],
    ["grants", "add", "--reader", "a/b", "--plan", "vip", "--reason", "x", "--no-end"],
    ["grants", "add", "--reader", "a\u202e", "--plan", "vip", "--reason", "x", "--no-end"],
    ["grants", "list", "--ends-before", "tomorrow"],
    ["readers", "list", "--access", "maybe"],
    ["grants", "revoke", "--reader", "r", "id"],
    ["grants", "revoke", "--reader", "r", "--reason", "x"],
    ["explain"],
    ["explain", "--reader", "r"],
    ["explain", "--reader", "r", "--story", "x" * 129],
    ["explain", "--reader", "r", "--story", "s", "--at", "noon"],
    ["explain", "--reader", "r", "--story", "s", "--decision", "x"],
    ["grants", "change", "--reader", "r", "--reason", "x", "gr_1"],
    ["audit", "verify", "--head", "3"],
    ["audit", "verify", "--head", "3:xyz"],
    ["audit", "list", "--limit", "101"],
    ["audit", "list", "--after", "5"],
    ["audit", "prune"],
    ["audit", "prune", "--older-than", "soon"],
    ["audit", "prune", "--older-than", "0d"],
    ["keys", "add", "desk"],
    ["keys", "add", "desk", "--role", "site"],
    ["keys", "add", "cli:root", "--role", "owner"],
]


def test_usage_error_exits_2_and_changes_nothing(alone: Paywall) -> None:
    for words in USAGE:
        refused(alone.command(*words), 2)
    assert not (alone.data / "store").exists(), "no store was started for it"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
@pytest.mark.parametrize("words", [("--help",), ("check-config", "--json")])
def test_answer_that_cannot_be_written_exits_1_with_one_line(alone: Paywall, words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "service.entrypoints.cli", *words]
        done = subprocess.run(command, env=alone.env, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "The answer could not be written: No space left on device\n")


def test_grants_are_added_listed_and_revoked_without_a_running_service(alone: Paywall) -> None:
    add = ("grants", "add", "--reader", "r", "--plan", "vip", "--reason", "press card")
    first = alone.checked_json(*add, "--no-end")
    assert (first["reader"], first["status"], first["until"]) == ("r", "active", None)
    assert first["actor"] == f"cli:{getpass.getuser()}"
    done = alone.command(
        *("grants", "add", "--reader", "r", "--feature", "no_ads", "--feature", "notebook", "--reason", "trial"),
        *("--from", "2098-12-31T00:00:00Z", "--until", "2099-01-01T00:00:00+01:00"),
    )
    assert done.returncode == 0
    assert "no_ads, notebook for r, scheduled" in done.stdout
    listed = alone.checked_json("grants", "list", "--reader", "r")["items"]
    assert [grant["status"] for grant in listed] == ["scheduled", "active"]
    assert listed[0]["until"] == "2098-12-31T23:00:00Z"
    taken = alone.checked_json("grants", "revoke", "--reader", "r", "--reason", "over", first["id"])
    assert taken["status"] == "revoked"
    again = alone.command("grants", "revoke", "--reader", "r", "--reason", "over", first["id"])
    assert again.returncode == 0
    assert "no grant" in refused(alone.command("grants", "revoke", "--reader", "r", "--reason", "x", "gr_none"))
    assert alone.command("grants", "list", "--reader", "nobody").returncode == 0


def test_control_characters_in_a_reason_are_escaped(paywall: Paywall, name: str) -> None:
    paywall.grant(name, reason="\x1b[2Jgone\r\u202eturned")
    assert r"\x1b[2Jgone\r\u202eturned" in paywall.command("grants", "list", "--reader", name).stdout


def test_command_rejects_what_the_service_rejects_and_names_the_field(alone: Paywall) -> None:
    add = ["grants", "add", "--reader", "r", "--reason", "x"]
    assert "plan" in refused(alone.command(*add, "--plan", "nope", "--no-end"))
    assert "until" in refused(alone.command(*add, "--plan", "vip", "--until", "2020-01-01T00:00:00Z"))
    assert "reason" in refused(
        alone.command("grants", "add", "--reader", "r", "--reason", " ", "--plan", "vip", "--no-end")
    )


def test_commands_use_the_store_of_a_running_service(paywall: Paywall, name: str) -> None:
    assert paywall.ask("a", reader=name, count=False)["reason"] == "metered"
    add = ("grants", "add", "--reader", name, "--plan", "vip", "--reason", "press card", "--no-end")
    grant = paywall.checked_json(*add)
    assert paywall.ask("a", reader=name)["source"]["id"] == grant["id"]
    other = paywall.grant(name, plan="quiet")
    listed = paywall.checked_json("grants", "list", "--reader", name)["items"]
    assert {each["id"] for each in listed} == {grant["id"], other["id"]}
    shown = paywall.checked_json("readers", "show", name)
    assert shown == paywall.reader(name)
    paywall.command("grants", "revoke", "--reader", name, "--reason", "over", grant["id"])
    assert paywall.ask("a", reader=name, count=False)["reason"] == "metered"


def test_explain_command_matches_the_answer_of_the_service(paywall: Paywall, name: str) -> None:
    paywall.ask("a", reader=name)
    wait_until(lambda: paywall.command("stories", "show", "a").returncode == 0)
    steps = paywall.checked_json("explain", "--reader", name, "--story", "a")
    assert set(steps) >= {
        *("decision_id", "at", "reader", "visitor", "story", "show", "reason", "tier"),
        *("parts", "meter", "source", "policy_revision", "explain"),
    }
    assert (steps["show"], steps["reason"], steps["tier"]) == ("full", "metered", "metered")
    assert steps["meter"]["used"] == 1
    assert steps["explain"][-1]["verdict"] == "metered"
    paywall.command("explain", "--reader", name, "--story", "b", "--tier", "metered")
    assert paywall.reader(name)["meters"][0]["used"] == 1, "explaining counts nothing"
    paywall.grant(name, until="2098-01-01T00:00:00Z")
    in_words = paywall.command("explain", "--reader", name, "--story", "b", "--tier", "metered")
    assert in_words.returncode == 0
    assert "grant" in in_words.stdout
    later = paywall.checked_json("explain", "--reader", name, "--story", "a", "--at", "2098-01-01T00:00:00Z")
    assert later["reason"] == "metered"


@pytest.mark.parametrize("json_too", [False, True])
def test_check_config_lists_every_mistake_with_its_place(
    tmp_path: Path, alone: Paywall, policy: str, json_too: bool
) -> None:
    more = ["--json"] if json_too else []
    good = alone.command("check-config", *more)
    assert good.returncode == 0
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "paywall.toml").write_text(policy.replace('"no_ads"', '"no_adds"').replace('"month"', '"moon"'))
    done = alone.command("check-config", str(bad), *more)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for place in ("plans.supporter.features", "offers.notebook.benefits", "meters.stories.window"):
        assert place in done.stdout
    if json_too:
        found = json.loads(good.stdout)
        assert (found["ok"], found["mistakes"]) == (True, [])
        assert "paywall.toml: plans.quiet" in [warning["where"] for warning in found["warnings"]]
        assert len(json.loads(done.stdout)["mistakes"]) >= 4
    assert alone.command("check-config", str(tmp_path / "none")).returncode == 1


def test_invalid_settings_stop_the_start_with_a_line_each(alone: Paywall) -> None:
    alone.env |= {
        "PAYWALL_PORT": "99999",
        "PAYWALL_WORKERS": "0",
        "PAYWALL_SITE_KEYS": "nameless",
        "REDIS_URL": "http://x",
        "STRIPE_API_KEY": "sk_live_x",
    }
    for command in (["serve"], ["grants", "list", "--reader", "r"]):
        text = refused(alone.command(*command))
        for variable in ("PAYWALL_PORT", "PAYWALL_WORKERS", "PAYWALL_SITE_KEYS", "REDIS_URL", "STRIPE_API_KEY"):
            assert variable in text
    assert "nameless" not in text


@pytest.mark.full
def test_unreachable_store_is_reported_and_nothing_changes(alone: Paywall) -> None:
    alone.env["REDIS_URL"] = "redis://127.0.0.1:1"
    add = ("grants", "add", "--reader", "r", "--plan", "vip", "--reason", "x", "--no-end")
    assert "Cause: Connection refused." in refused(alone.command(*add))


@pytest.mark.parametrize("words", [("worker", "--once"), ("reconcile",), ("reconcile", "--catch-up")])
def test_scheduled_command_exits_1_when_stripe_is_unreachable(words: tuple[str, ...], serve: Serve) -> None:
    service = serve(start=False, STRIPE_API_KEY="sk_test_x", STRIPE_API_BASE="http://127.0.0.1:1")
    done = service.command(*words)
    assert (done.returncode, "Stripe cannot be reached" in done.stderr) == (1, True)
    service.env["STRIPE_API_KEY"] = ""
    assert service.command(*words).returncode == 0

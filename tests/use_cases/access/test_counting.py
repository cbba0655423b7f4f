"""Test how often a check waits for the store, and that whoever asks alone is counted in one wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from service.adapters.redis.client.access import BlockingAccess, finish
from service.adapters.redis.client.link import Command
from service.adapters.redis.client.scripts import ScriptCall
from service.domain.catalogue import Story
from service.domain.decision import Decision
from service.use_cases.access.check import AccessQuestion
from tests.in_process_app import InProcessApp

MONTH = 31 * 86_400


class Waits(BlockingAccess):
    """Counts the round trips, and keeps the names of the commands that were read last."""

    count = 0
    commands: Sequence[bytes] = ()

    async def read(self, commands: Sequence[Command]) -> list[Any]:
        self.count += 1
        self.commands = [parts[0] for _, parts in commands]
        return await super().read(commands)

    async def run(self, *calls: ScriptCall) -> list[Any]:
        self.count += 1
        return await super().run(*calls)


class Site:
    """Asks about stories of the tier `metered`."""

    def __init__(self, app: InProcessApp) -> None:
        self.app = app
        self.commands: Sequence[bytes] = ()
        """What the last question read."""

    def ask(self, story: str, reader: str | None = None, visitor: str | None = None) -> tuple[Decision, int]:
        """Return the decision, and how often it waited for the store."""
        waits = Waits(self.app.service.store.link)
        question = AccessQuestion(Story(story, tier="metered"), reader, visitor)
        answer = finish(self.app.service.access_check.answer(waits, question, self.app.clock()))
        self.commands = waits.commands
        return answer.decision, waits.count

    def used(self, story: str, reader: str | None = None, visitor: str | None = None) -> tuple[str, int, bool, int]:
        """Return what was shown, the stories used, whether this one was counted, and how often it waited."""
        decision, waits = self.ask(story, reader, visitor)
        assert decision.meter is not None
        return decision.show, decision.meter.used, decision.meter.counted, waits


@pytest.fixture
def site(service_app: InProcessApp) -> Site:
    return Site(service_app)


def test_reader_who_holds_nothing_is_counted_in_one_wait(site: Site) -> None:
    limit = site.app.service.access_check.catalogue.meters["stories"].readers
    for number in range(limit):
        assert site.used(f"s{number}", "r") == ("full", number + 1, True, 1)
    assert site.used("s0", "r") == ("full", limit, False, 1)
    assert site.used("late", "r") == ("upsell", limit, False, 1)
    assert site.used("later", "r") == ("upsell", limit, False, 1)
    site.app.clock.now += MONTH
    assert site.used("s9", "r")[:3] == ("full", 1, True)
    assert site.used("s8", "r") == ("full", 2, True, 1)


def test_reader_who_holds_something_is_not_counted(site: Site) -> None:
    site.app.grant("payer")
    for story in ("a", "b"):
        decision, waits = site.ask(story, "payer")
        assert (decision.reason, waits) == ("grant", 1)
    assert site.app.reader("payer")["meters"][0]["used"] == 0


def test_meters_of_a_holder_are_read_again_when_they_hold_nothing(site: Site) -> None:
    grant = site.app.grant("payer")
    assert site.ask("a", "payer", "v")[0].reason == "grant"
    assert site.commands == [b"HGETALL", b"GET", b"GET"]
    for visitor in ("v", None):
        decision, waits = site.ask("b", "payer", visitor)
        assert (decision.reason, waits, site.commands) == ("grant", 1, [b"HGETALL"])
    assert site.used("mine", visitor="v")[1] == 1
    site.app.call("DELETE", f"/v1/readers/payer/grants/{grant['id']}?reason=over", admin=True)
    assert site.used("c", "payer", "v")[:3] == ("full", 2, True)
    assert site.used("mine", "payer", "v")[:3] == ("full", 2, False)


def test_former_holder_is_counted(site: Site) -> None:
    grant = site.app.grant("lapsed")
    site.app.call("DELETE", f"/v1/readers/lapsed/grants/{grant['id']}?reason=over", admin=True)
    assert [site.used(story, "lapsed")[:3] for story in ("a", "b")] == [("full", 1, True), ("full", 2, True)]


def test_merged_reader_is_counted_as_the_remaining_one(site: Site) -> None:
    assert site.used("a", "stays")[1] == site.used("b", "goes")[1] == 1
    merged = site.app.call("POST", "/v1/readers/stays/merge", {"from": "goes"}, admin=True)
    assert merged.status_code == 200
    assert site.used("c", "goes")[:3] == ("full", 3, True)
    assert site.used("c", "stays")[:3] == ("full", 3, False)


def test_visitor_is_counted_in_one_wait_and_joins_a_reader_in_two(site: Site) -> None:
    assert site.used("a", visitor="v") == ("full", 1, True, 1)
    assert site.used("b", "r", "v")[:3] == ("full", 2, True)
    assert site.used("c", "r") == ("full", 3, True, 1)

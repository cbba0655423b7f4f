"""Test that remembered decisions are those that deciding again would return."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from service.domain.catalogue import Story
from service.domain.times import write_time
from service.use_cases.access.check import AccessAnswer, AccessCheck, AccessQuestion
from tests.in_process_app import InProcessApp, MakeApp
from tests.running_service import POLICY

DAY = 86_400
TIERS = ["metered"] * 5 + ["free", "supporters", "slow", "events", "weekly", "signed_in", "members", "registered"]
HOLDERS, READERS, VISITORS = ["a", "b"], [None, "a", "b", "c", "d", "e"], [None, "v", "w", "new"]
PLAN = """
[plans.four]
name = "Four stories"
features = []
meters = { stories = 4, weekly = 3 }
"""


class World:
    """A site on which readers read, receive grants, merge and lose them, and time passes, now and then backwards."""

    def __init__(self, app: InProcessApp, seed: int) -> None:
        self.app = app
        self.random = random.Random(seed)
        self.check = app.service.access_check
        self.grants: list[str] = []
        self.shared = 0

    def fresh(self, question: AccessQuestion) -> AccessAnswer:
        """Return what a process answers that remembers nothing."""
        service = self.app.service
        return AccessCheck(self.check.catalogue, service.store, service.recent_entitlements).check(question, self.now)

    @property
    def now(self) -> float:
        return self.app.clock()

    def story(self) -> Story:
        pick, at = self.random.choice, self.random.uniform(-40, 1) * DAY
        return Story(
            f"s{self.random.randrange(12)}",
            pick([None, "city", "public-safety"]),
            pick([(), ("archive",)]),
            pick([None, *TIERS]),
            pick([None, self.now + at]),
            pick([(), ("facts",), ("facts", "notebook")]),
        )

    def read(self, *stories: str, reader: str | None = None, visitor: str | None = None) -> None:
        """Count stories."""
        for story in stories:
            self.check.check(AccessQuestion(Story(story, tier="metered"), reader, visitor), self.now)

    def compare(self, reader: str, visitor: str | None = None) -> None:
        """Ask for a story without counting it."""
        question = AccessQuestion(Story("late", tier="metered"), reader, visitor, count=False)
        assert self.check.check(question, self.now).decision == self.fresh(question).decision

    def ask(self) -> None:
        """Ask three times: without counting, with it, and again."""
        reader, visitor = self.random.choice(READERS), self.random.choice(VISITORS)
        if visitor == "new":
            visitor = f"n{self.random.randrange(500)}"
        verified = reader is not None and self.random.random() < 0.3
        for count in (False, True, False):
            question = AccessQuestion(self.story(), reader, visitor, count=count, verified=verified)
            for _ in range(2):
                expected = None if count else self.fresh(question).decision
                answer = self.check.check(question, self.now)
                assert expected in (None, answer.decision), question
                self.shared += answer.shared is not None

    def change(self) -> None:
        """Change what readers hold, or the time."""
        pick = self.random.choice
        what = pick(["grant", "grant", "revoke", "wait", "wait", "back"])
        if what == "grant":
            reader, until = pick(HOLDERS), pick([None, int(self.now + self.random.uniform(60, 20 * DAY))])
            plan = pick(["vip", "supporter", "quiet", "four"])
            granted = self.app.grant(reader, plan=plan, until=until and write_time(until))
            self.grants.append(f"/v1/readers/{reader}/grants/{granted['id']}?reason=over")
        elif what == "revoke" and self.grants:
            self.app.call("DELETE", self.grants.pop(self.random.randrange(len(self.grants))), admin=True)
        elif what == "wait":
            self.app.clock.now += pick([1, 3_600, DAY, 5 * DAY])
        elif what == "back":
            self.app.clock.now -= 1_800


@pytest.mark.parametrize("seed", range(4))
def test_long_lived_process_decides_like_one_that_remembers_nothing(
    make_app: MakeApp, valkey_url: str, seed: int
) -> None:
    world = World(make_app(valkey_url, POLICY + PLAN), seed)
    for _ in range(40):
        world.change()
        for _ in range(8):
            world.ask()
    assert world.shared > 200


@pytest.fixture
def world(valkey_app: InProcessApp) -> World:
    return World(valkey_app, 0)


def test_readers_of_one_device_who_read_the_same_do_not_share_a_decision(world: World) -> None:
    stories = [f"s{number}" for number in range(world.check.catalogue.meters["stories"].readers)]
    world.read(*stories, reader="c")
    world.read(*stories, reader="d")
    world.read(stories[0], reader="c", visitor="v")
    world.read("more", visitor="v")  # It counts for whom the visitor is joined with.
    for reader in ("c", "d", "c"):
        world.compare(reader=reader, visitor="v")


def test_stories_that_join_a_used_up_meter_change_its_decision(world: World) -> None:
    limit = world.check.catalogue.meters["stories"].readers
    world.read(*[f"s{number}" for number in range(limit)], reader="c")
    world.compare(reader="c")
    world.read("more", visitor="v")
    world.read("s0", reader="c", visitor="v")
    world.compare(reader="c")


def test_each_visitor_joins_a_reader_whose_meter_is_used_up(world: World) -> None:
    limit = world.check.catalogue.meters["stories"].readers
    world.read(*[f"s{number}" for number in range(limit)], reader="c")
    for visitor in ("u", "v"):
        world.read("late", "later", reader="c", visitor=visitor)
    world.read("more", visitor="v")  # It counts for the reader whom the visitor has joined.
    world.read("mine", reader="d", visitor="v")
    used = []
    for reader, visitor in (("d", "v"), ("c", "v")):
        meter = world.check.check(
            AccessQuestion(Story("mine", tier="metered"), reader, visitor), world.now
        ).decision.meter
        used.append(meter and meter.used)
    assert used == [1, limit + 1]


def test_decisions_of_rolling_windows_are_not_remembered(world: World) -> None:
    catalogue = world.check.catalogue
    for tier in catalogue.tiers.values():
        if tier.meter is not None and not tier.open_parts:
            question = AccessQuestion(Story("s", tier=tier.name), reader="c")
            remembered = world.check.check(question, world.now).shared is not None
            assert remembered is not catalogue.meters[tier.meter].rolling, tier.name


def test_clock_that_goes_back_over_the_end_of_a_window_changes_the_decision(world: World) -> None:
    world.app.clock.now = datetime(2026, 12, 2, tzinfo=UTC).timestamp()
    limit = world.check.catalogue.meters["stories"].readers
    world.read(*[f"s{number}" for number in range(limit)], reader="c")
    for days in (0, 2):
        world.app.clock.now -= days * DAY
        world.compare(reader="c")

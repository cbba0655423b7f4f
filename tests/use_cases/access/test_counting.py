"""Test how often a check waits for the store, and that a read is counted in one wait where nothing has to be joined."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from service.adapters.redis.client.access import BlockingAccess, StoreAccess, finish
from service.adapters.redis.client.errors import StoreError
from service.adapters.redis.client.keys import owner_mark, reader_hash, visitor_hash
from service.adapters.redis.client.link import Command
from service.adapters.redis.client.scripts import ScriptCall
from service.adapters.redis.readers.meters import KIND, frame_at, unpack
from service.domain.catalogue import Story
from service.domain.decision import Decision
from service.use_cases.access.check import AccessQuestion
from tests.in_process_app import InProcessApp, MakeApp
from tests.store_clusters import ON_BOTH_KINDS, BuildCluster

MONTH = 31 * 86_400
READERS, VISITORS = "abc", "uvwx"


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


class ProxiedCluster(BlockingAccess):
    """Behaves as a proxy in front of a cluster, which looks like a single server."""

    async def run(self, *calls: ScriptCall) -> list[Any]:
        if any(len(call.keys) > 2 for call in calls):
            raise StoreError("CROSSSLOT Keys in request don't hash to the same slot")
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

    def stored(self, people: str) -> list[Any]:
        """Return what the meters of the random test's people count, and which reader's they are."""
        store, catalogue, found = self.app.service.store, self.app.service.access_check.catalogue, []
        owners = {owner_mark(f"{people}-{name}"): name for name in READERS}
        for meter in ("stories", "rolling"):
            frame = frame_at(catalogue.meters[meter], self.app.clock())
            names = [store.keys.reader_meter(reader_hash(f"{people}-{name}"), frame.code) for name in READERS]
            names += [store.keys.visitor_meter(visitor_hash(f"{people}-{name}"), frame.code) for name in VISITORS]
            tallies = [unpack(frame, value) for value in store.link.read_each(b"GET", names)]
            found += [(tally.read, owners.get(tally.joined or b""), tally.joined_until) for tally in tallies]
        return found


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


def test_visitor_is_counted_in_one_wait_and_joins_a_reader(site: Site) -> None:
    assert site.used("a", visitor="v") == ("full", 1, True, 1)
    assert site.used("b", "r", "v")[:3] == ("full", 2, True)
    assert site.used("c", "r") == ("full", 3, True, 1)


def test_reader_is_counted_in_one_wait_with_a_visitor_who_has_nothing_to_join(site: Site) -> None:
    assert [site.used(story, "r", "v") for story in ("a", "b")] == [("full", 1, True, 1), ("full", 2, True, 1)]
    assert site.used("c", visitor="v")[:3] == ("full", 1, True)
    assert site.used("d", "r", "v")[:3] == ("full", 4, True)
    assert site.used("e", "other", "v")[:3] == ("full", 1, True)  # The visitor is the first reader's.


def test_visitor_joins_where_their_meter_is_of_a_former_window(site: Site) -> None:
    """The policy had days before it had months: what is stored for them counts nothing, and is no claim."""
    store, catalogue = site.app.service.store, site.app.service.access_check.catalogue
    frame = frame_at(catalogue.meters["stories"], site.app.clock())
    key = store.keys.visitor_meter(visitor_hash("v"), frame.code)
    store.link.call_key(b"SET", key, KIND["day"] + frame.start.to_bytes(4, "big") + b"\1" + owner_mark("other"))
    assert site.used("a", "r", "v")[:3] == ("full", 1, True)
    assert unpack(frame, store.link.read_key(b"GET", key)).joined == owner_mark("r")


@pytest.mark.full
@ON_BOTH_KINDS
def test_reader_with_a_visitor_is_counted_on_a_cluster_in_two_waits(
    build_cluster: BuildCluster, make_app: MakeApp, kind: str
) -> None:
    site = Site(make_app(build_cluster(kind).url))
    assert site.used("a", visitor="v") == ("full", 1, True, 1)
    assert site.used("b", "r", "v")[:3] == ("full", 2, True)
    assert site.used("c", "r", "v") == ("full", 3, True, 2)
    assert site.used("d", "r") == ("full", 4, True, 1)


@pytest.mark.parametrize("seed", range(3))
def test_count_in_one_wait_is_the_count_after_a_look(site: Site, seed: int) -> None:
    """Two sets of people read the same. In front of the store of one is a proxy that refuses such a script."""
    random, link, check = Random(seed), site.app.service.store.link, site.app.service.access_check
    for _ in range(250):
        reader, visitor = random.choice([None, *READERS]), random.choice([None, *VISITORS])
        story = Story(f"s{random.randrange(9)}", tier=random.choice(["metered", "slow"]))
        found = []
        for people, store in (("ours", BlockingAccess(link)), ("theirs", ProxiedCluster(link))):
            question = AccessQuestion(story, reader and f"{people}-{reader}", visitor and f"{people}-{visitor}")
            asked: StoreAccess = store
            answer = finish(check.answer(asked, question, site.app.clock()))
            shown = answer.decision
            found.append((shown.show, shown.reason, shown.meter, shown.next, site.stored(people)))
        assert found[0] == found[1]
        site.app.clock.now += random.choice([60, 3_600, 86_400, 3 * 86_400])

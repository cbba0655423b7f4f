"""Test merges: the remaining reader gets all that the other has and will get."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from service.adapters.recent_entitlements import RecentEntitlements
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.client.keys import owner_mark, reader_hash
from service.adapters.redis.readers import meters
from service.adapters.redis.readers.readers import write_of
from service.adapters.redis.readers.source_codec import field_of
from service.domain.catalogue import Story
from service.domain.errors import CannotMerge
from service.domain.sources import Grant
from service.use_cases.access.check import AccessCheck, AccessQuestion
from tests.recorded_stripe import admin_of
from tests.stepped_link import Failure, Killed

DAY = 86_400
NOW = 2_000_000_000
ADMIN = Actor("ada", "203.0.113.1")


def grant(stage: Any, reader: str, name: str = "gr_1") -> None:
    given = Grant(name, None, ("newsmaker_events",), "why", NOW - DAY, None, "ada", NOW - DAY)
    stage.readers.write(reader, write_of(given, 1, rule="next", ended=False, now=NOW, cause="test"))


def read(stage: Any, reader: str, *stories: str) -> None:
    frame = meters.frame_at(stage.catalogue.meters["stories"], NOW)
    for story in stories:
        stage.store.link.run(*meters.count_for_reader(stage.keys, frame, reader, story, 9, {}))


def stories_read(stage: Any, reader: str) -> int:
    frame = meters.frame_at(stage.catalogue.meters["stories"], NOW)
    key = stage.keys.reader_meter(reader_hash(reader), frame.code)
    (value,) = stage.link.read([(key, (b"GET", key))])
    return len(meters.unpack(frame, value).read)


def marks(stage: Any, reader: str) -> Any:
    key = stage.keys.reader(reader_hash(reader))
    return stage.link.call(key, b"HGET", key, b"<")


@pytest.fixture
def two(stage: Any, make: Any, admin: Any) -> None:
    """Give `r-old` a subscription, a pass, a seat, a grant and reads; `r-new` has read one of the same stories."""
    make.deliver("customer.subscription.created", make.subscription(reader="r-old"))
    make.deliver("checkout.session.completed", make.session(reader="r-old"))
    make.deliver("customer.subscription.created", make.subscription("sub_g", reader="r-x", price="price_seat_month"))
    admin.assign_seat("sub_g", "r-old", ADMIN, NOW)
    grant(stage, "r-old")
    read(stage, "r-old", "s1", "s2")
    read(stage, "r-new", "s2", "s3")


def fields(stage: Any, reader: str) -> set[bytes]:
    return set(map(field_of, stage.readers.load_all(reader)))


ALL = {b"s:sub_1", b"p:cs_1", b"t:sub_g", b"g:gr_1"}


@pytest.mark.usefixtures("two")
def test_merge_moves_sources_reads_customers_and_seats(stage: Any, admin: Any, notebook: Any) -> None:
    assert admin.merge_readers("r-new", "r-old", ADMIN, NOW + 5) == "r-new"
    assert fields(stage, "r-new") == ALL
    assert fields(stage, "r-old") == set()
    assert stage.readers.resolve_merged("r-old") == "r-new"
    assert set(stage.held("r-old", NOW + 6)) == {"notebook", "no_ads", "newsmaker_events"}
    assert stories_read(stage, "r-new") == 3
    assert stage.readers.list_customers("r-new") == ["cus_1"]
    assert [seat.reader for seat in admin.load_seats("sub_g", NOW).seats] == ["r-new"]
    (entry,) = [entry for entry in notebook.entries() if entry["action"] == "merge"]
    assert (entry["reader"], entry["target"]) == ("r-new", "r-old")


@pytest.mark.usefixtures("two")
def test_later_events_of_a_merged_reader_go_to_the_remaining_one(stage: Any, make: Any, admin: Any) -> None:
    admin.merge_readers("r-new", "r-old", ADMIN, NOW + 5)
    make.deliver("customer.subscription.updated", make.subscription(reader="r-old", end=NOW + 40 * DAY), NOW + 6)
    make.deliver("customer.subscription.created", make.subscription("sub_2", reader="r-old"), NOW + 7)
    assert stage.held("r-new", NOW + 8)["notebook"] == NOW + 42 * DAY
    assert fields(stage, "r-new") == {*ALL, b"s:sub_2"}
    assert fields(stage, "r-old") == set()


@pytest.mark.usefixtures("two")
def test_late_grant_to_a_merged_reader_goes_to_the_remaining_one(stage: Any, admin: Any) -> None:
    admin.merge_readers("r-new", "r-old", ADMIN, NOW + 5)
    grant(stage, "r-old", "gr_2")
    assert b"g:gr_2" in fields(stage, "r-new")


def test_visitors_of_a_merged_reader_count_for_the_remaining_one(stage: Any, admin: Any) -> None:
    admin.merge_readers("r-new", "r-old", ADMIN, NOW)
    assert marks(stage, "r-new") == owner_mark("r-old")
    admin.merge_readers("r-last", "r-new", ADMIN, NOW)
    assert marks(stage, "r-last") == owner_mark("r-new") + owner_mark("r-old")


def test_later_reads_of_a_joined_visitor_count_for_the_remaining_reader(stage: Any, admin: Any, tmp_path: Path) -> None:
    known = RecentEntitlements(tmp_path, DAY, clock=lambda: NOW)
    app = AccessCheck(stage.catalogue, stage.store, known)

    def ask(story: str, reader: str | None = None) -> Any:
        return app.check(AccessQuestion(Story(story), reader, "v-1"), NOW).decision.meter

    assert ask("s1").used == 1
    assert ask("s2", "r-old").used == 2
    admin.merge_readers("r-new", "r-old", ADMIN, NOW)
    assert ask("s3").used == 2  # The visitor's own meter, after signing out.
    assert ask("s4", "r-new").used == 4
    assert ask("s4", "r-old").used == 4


def test_merge_into_itself_or_in_a_circle_is_rejected(stage: Any, admin: Any) -> None:
    with pytest.raises(CannotMerge):
        admin.merge_readers("r-1", "r-1", ADMIN, NOW)
    admin.merge_readers("r-2", "r-1", ADMIN, NOW)
    with pytest.raises(CannotMerge):
        admin.merge_readers("r-1", "r-2", ADMIN, NOW)
    admin.merge_readers("r-3", "r-2", ADMIN, NOW)
    with pytest.raises(CannotMerge):
        admin.merge_readers("r-1", "r-3", ADMIN, NOW)
    with pytest.raises(CannotMerge):
        admin.merge_readers("r-9", "r-1", ADMIN, NOW)
    for reader, gone in (("r-1", "r-1"), ("r-2", "r-2"), ("r-1", "r-2"), ("r-2", "r-3"), ("r-3", "r-3")):
        with pytest.raises(CannotMerge):
            admin.merge_readers(reader, gone, ADMIN, NOW)
    for reader, gone in (("r-2", "r-1"), ("r-3", "r-1"), ("r-3", "r-2")):
        assert admin.merge_readers(reader, gone, ADMIN, NOW) == "r-3"  # It is so already.
    assert [stage.readers.resolve_merged(reader) for reader in ("r-1", "r-2", "r-3")] == ["r-3", "r-3", "r-3"]


def test_repeated_merge_changes_nothing(stage: Any, admin: Any, notebook: Any) -> None:
    for _ in range(2):
        admin.merge_readers("r-2", "r-1", ADMIN, NOW)
    assert len(notebook.entries()) == 1


def test_merge_of_two_seat_holders_frees_one_seat(stage: Any, make: Any, admin: Any) -> None:
    make.deliver("customer.subscription.created", make.subscription("sub_g", price="price_seat_month", quantity=2))
    for reader in ("r-old", "r-new"):
        admin.assign_seat("sub_g", reader, ADMIN, NOW)
    admin.merge_readers("r-new", "r-old", ADMIN, NOW)
    assert [seat.reader for seat in admin.load_seats("sub_g", NOW).seats] == ["r-new"]
    assert set(stage.held("r-new", NOW)) == {"notebook"}


@pytest.mark.parametrize("holders", [("r-old", "r-new"), ("r-new", "r-old")])
def test_older_of_two_seats_stays_after_a_merge(stage: Any, make: Any, admin: Any, holders: tuple[str, str]) -> None:
    """When fewer seats are paid for, the newest go."""
    group = {"price": "price_seat_month"}
    make.deliver("customer.subscription.created", make.subscription("sub_g", quantity=3, **group))
    for later, reader in enumerate([holders[0], "r-other", holders[1]]):
        admin.assign_seat("sub_g", reader, ADMIN, NOW + later)
    admin.merge_readers("r-new", "r-old", ADMIN, NOW + 5)
    assert [seat.since for seat in admin.load_seats("sub_g", NOW + 5).seats] == [NOW, NOW + 1]
    make.deliver("customer.subscription.updated", make.subscription("sub_g", quantity=1, **group), NOW + 6)
    assert [seat.reader for seat in admin.load_seats("sub_g", NOW + 6).seats] == ["r-new"]


def test_seat_assigned_during_a_merge_goes_to_the_remaining_reader(
    stage: Any, stepped: Any, make: Any, admin: Any, notebook: Any
) -> None:
    make.deliver("customer.subscription.created", make.subscription("sub_g", price="price_seat_month", quantity=3))

    def merge_meanwhile(name: str) -> None:
        if name == "assign_seat":
            admin.merge_readers("r-new", "r-old", ADMIN, NOW)

    giving = admin_of(stage, notebook, stage.make(stepped(after=merge_meanwhile)))
    giving.assign_seat("sub_g", "r-old", ADMIN, NOW)
    assert [seat.reader for seat in admin.load_seats("sub_g", NOW).seats] == ["r-new"]
    assert set(stage.held("r-new", NOW)) == {"notebook"}
    admin.release_seat("sub_g", "r-new", ADMIN, NOW)
    assert (admin.load_seats("sub_g", NOW).seats, stage.held("r-new", NOW)) == ((), {})


def test_merge_killed_before_any_command_is_rolled_forward(
    stage: Any, stepped: Any, make: Any, admin: Any, notebook: Any, run_jobs: Any
) -> None:
    """Try once more than there are commands, each time with two new readers."""
    failure, number, committed = Failure(), 0, 0
    link = stepped(failure)
    while number == 0 or failure.struck:
        number += 1
        old, new = f"old-{number}", f"new-{number}"
        make.deliver("customer.subscription.created", make.subscription(f"sub_{number}", reader=old, customer=None))
        grant(stage, old)
        read(stage, old, "s1")
        dying = admin_of(stage, notebook, stage.make(link), link)
        failure.arm(number)
        with suppress(Killed):
            dying.merge_readers(new, old, ADMIN, NOW)
        admin.finish_merges(NOW + 1)
        if stage.readers.resolve_merged(old) != new:  # Killed before the commit, so the merge never happened.
            assert fields(stage, new) == set()
            continue
        committed += 1
        assert fields(stage, new) == {f"s:sub_{number}".encode(), b"g:gr_1"}
        assert fields(stage, old) == set()
        assert stories_read(stage, new) == 1
    assert number > 8
    run_jobs(NOW + 70)
    assert stage.processor.pending_work.count()["unspread"] == 0
    merges = [entry for entry in notebook.entries() if entry["action"] == "merge"]
    assert len({entry["id"] for entry in merges}) == len(merges) == committed

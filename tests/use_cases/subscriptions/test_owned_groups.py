"""Test groups that their owner manages: invitations open at most the free seats, once each, whoever asks at once."""

from __future__ import annotations

from typing import Any

import pytest

from service.adapters.crypto import derive_signing_keys
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.stripe_objects.seats import Invitation, Invitations
from service.adapters.signed_tokens import InvitationClaims, SignedTokens
from service.domain.errors import (
    EndedSubscription,
    InvitationsFull,
    NoSeats,
    NotGroupOwner,
    SeatsFull,
    UnknownInvitation,
    UnknownSubscription,
)
from service.use_cases.subscriptions.owned_groups import OwnedGroups
from tests.in_process_app import AllAtOnce
from tests.recorded_stripe import ADA, Maker, Notebook, Stage, admin_of
from tests.store_clusters import BuildCluster

DAY = 86_400
NOW = 2_000_000_000
SITE = Actor("site:web", "203.0.113.1")
END = NOW + 5 * DAY
TOKENS = SignedTokens(lambda: derive_signing_keys(["a secret"], "invitation"), InvitationClaims)


def groups_of(stage: Any, notebook: Any) -> OwnedGroups:
    admin = admin_of(stage, notebook, stage.processor)
    return OwnedGroups(stage.processor, admin, Invitations(stage.store), TOKENS)


@pytest.fixture
def groups(stage: Any, notebook: Any) -> OwnedGroups:
    return groups_of(stage, notebook)


def sell(make: Any, quantity: int, name: str = "sub_1", **fields: Any) -> None:
    obj = make.subscription(name, price="price_seat_month", quantity=quantity, **fields)
    kind = "deleted" if fields.get("status") == "canceled" else "updated"
    make.deliver(f"customer.subscription.{kind}", obj, fields.get("ended_at") or NOW)


def invite(groups: OwnedGroups, name: str = "sub_1", owner: str = "r-1", now: float = NOW) -> str:
    return groups.create_invitation(name, owner, END, now)[1]


def accept(groups: OwnedGroups, token: str, reader: str, now: float = NOW) -> str | type[Exception]:
    try:
        return groups.accept_invitation(token, reader, SITE, now)
    except (UnknownInvitation, SeatsFull) as error:
        return type(error)


def test_invitation_gives_one_seat_to_one_reader(stage: Any, make: Any, groups: OwnedGroups, notebook: Any) -> None:
    sell(make, 2)
    made, token = groups.create_invitation("sub_1", "r-1", END + 0.9, NOW)
    assert made.until == END
    (group,) = groups.list_owned("r-1", NOW)
    assert (group.subscription, group.plan, group.quantity, group.used) == ("sub_1", "newsroom", 2, 0)
    assert group.invites == (made,)
    assert accept(groups, token, "r-5", NOW + 1) == "sub_1"
    assert set(stage.held("r-5", NOW + 2)) == {"notebook"}
    (group,) = groups.list_owned("r-1", NOW + 2)
    assert ([(seat.reader, seat.since) for seat in group.seats], group.invites) == ([("r-5", NOW + 1)], ())
    assert accept(groups, token, "r-6", NOW + 2) is UnknownInvitation
    assert accept(groups, token, "r-5", END + DAY) == "sub_1"
    (entry,) = notebook.entries()
    assert (entry["action"], entry["actor"], entry["reader"], entry["reason"]) == (
        "seat.give",
        "site:web",
        "r-5",
        None,
    )
    assert entry["after"]["invite"] == made.id


def test_seat_taken_back_ends_its_invitation_for_good(make: Any, groups: OwnedGroups, notebook: Any) -> None:
    sell(make, 2)
    token = invite(groups)
    accept(groups, token, "r-5")
    groups.release_seat("sub_1", "r-1", "r-5", SITE, NOW + 1)
    assert accept(groups, token, "r-5") is UnknownInvitation
    groups.assign_seat("sub_1", "r-1", "r-5", SITE, NOW + 2)
    assert accept(groups, token, "r-5") is UnknownInvitation
    assert sorted(entry["action"] for entry in notebook.entries()) == ["seat.give", "seat.give", "seat.take"]
    assert {entry["actor"] for entry in notebook.entries()} == {"site:web"}


def test_reader_with_a_seat_leaves_the_invitation_open(make: Any, groups: OwnedGroups) -> None:
    sell(make, 2)
    token = invite(groups)
    groups.assign_seat("sub_1", "r-1", "r-5", SITE, NOW)
    assert accept(groups, token, "r-5") == "sub_1"
    assert accept(groups, token, "r-6") == "sub_1"
    assert accept(groups, token, "r-5") is UnknownInvitation


def test_expired_withdrawn_or_foreign_invitation_opens_nothing(make: Any, groups: OwnedGroups) -> None:
    sell(make, 3)
    made, token = groups.create_invitation("sub_1", "r-1", END, NOW)
    assert accept(groups, token, "r-5", END) is UnknownInvitation
    assert groups.withdraw_invitation("sub_1", "r-1", made.id, NOW) == made
    assert groups.withdraw_invitation("sub_1", "r-1", made.id, NOW) == made
    assert accept(groups, token, "r-5", END - 1) is UnknownInvitation
    assert groups.list_owned("r-1", NOW)[0].invites == ()
    unknown = TOKENS.sign(InvitationClaims("inv_9", "sub_1", END))
    assert accept(groups, unknown, "r-5") is UnknownInvitation
    assert accept(groups, TOKENS.sign(InvitationClaims(made.id, "sub_9", END)), "r-5") is UnknownInvitation
    for gone in (made.id, "inv_9"):
        with pytest.raises(UnknownInvitation):
            groups.withdraw_invitation("sub_1", "r-1", gone, END)


def test_withdrawn_invitations_do_not_fill_the_store(stage: Any, make: Any, groups: OwnedGroups) -> None:
    """An owner can create and withdraw as many as they like, with ends thousands of years ahead."""
    sell(make, 2)
    first, _ = groups.create_invitation("sub_1", "r-1", END, NOW)
    for _ in range(150):
        made, _ = groups.create_invitation("sub_1", "r-1", END + DAY, NOW)
        groups.withdraw_invitation("sub_1", "r-1", made.id, NOW)
    key = stage.store.keys.invitations("subscription:sub_1")
    assert stage.store.link.call(key, b"ZCARD", key) <= 2 + 101
    assert groups.list_owned("r-1", NOW)[0].invites == (first,)


def test_open_invitations_are_at_most_the_free_seats(make: Any, groups: OwnedGroups) -> None:
    sell(make, 3)
    groups.assign_seat("sub_1", "r-1", "r-2", SITE, NOW)
    first, _ = groups.create_invitation("sub_1", "r-1", END, NOW)
    token = invite(groups)
    with pytest.raises(InvitationsFull):
        invite(groups)
    groups.withdraw_invitation("sub_1", "r-1", first.id, NOW)
    invite(groups)
    # Seats given by hand do not wait for invitations. Whoever comes last finds no seat; the invitation stays open.
    for reader in ("r-3", "r-4"):
        groups.assign_seat("sub_1", "r-1", reader, SITE, NOW)
    assert accept(groups, token, "r-5") is SeatsFull
    groups.release_seat("sub_1", "r-1", "r-2", SITE, NOW)
    assert accept(groups, token, "r-5") == "sub_1"
    with pytest.raises(InvitationsFull):
        invite(groups)
    for reader in ("r-3", "r-4", "r-5"):
        groups.release_seat("sub_1", "r-1", reader, SITE, NOW)
    for _ in range(3):  # By then the open one has expired.
        groups.create_invitation("sub_1", "r-1", END + DAY, END)


def test_repeated_request_creates_one_invitation(make: Any, groups: OwnedGroups) -> None:
    sell(make, 1)
    once = groups.create_invitation("sub_1", "r-1", END, NOW, named="0f" * 12)
    assert groups.create_invitation("sub_1", "r-1", END, NOW + 9, named="0f" * 12) == once


def test_fewer_paid_seats_let_in_nobody_beyond_them(stage: Any, make: Any, groups: OwnedGroups) -> None:
    sell(make, 4)
    tokens = [invite(groups) for _ in range(4)]
    accept(groups, tokens[0], "r-a")
    accept(groups, tokens[1], "r-b", NOW + 1)
    sell(make, 1)
    assert [seat.reader for seat in groups.list_owned("r-1", NOW)[0].seats] == ["r-a"]
    assert accept(groups, tokens[2], "r-c") is SeatsFull
    assert accept(groups, tokens[0], "r-a") == "sub_1"
    assert accept(groups, tokens[1], "r-b") is UnknownInvitation
    sell(make, 2)
    assert accept(groups, tokens[2], "r-c") == "sub_1"
    assert accept(groups, tokens[3], "r-d") is SeatsFull
    assert stage.held("r-d", NOW) == {}


def test_ended_group_is_ended_for_owner_and_invited(stage: Any, make: Any, groups: OwnedGroups) -> None:
    sell(make, 2)
    used, token = invite(groups), invite(groups)
    accept(groups, used, "r-5")
    sell(make, 2, status="canceled", ended_at=NOW + 5)
    assert accept(groups, token, "r-6", NOW + 6) is UnknownInvitation
    assert accept(groups, used, "r-5", NOW + 6) is UnknownInvitation
    with pytest.raises(EndedSubscription):
        invite(groups, now=NOW + 6)
    (group,) = groups.list_owned("r-1", NOW + 6)
    assert group.has_ended
    sell(make, 2, "sub_2", cancel_at=NOW + 9, customer="cus_2")
    running = invite(groups, "sub_2", now=NOW + 8)
    assert accept(groups, running, "r-7", NOW + 9) is UnknownInvitation
    sell(make, 2, "sub_3", customer="cus_3")
    token = invite(groups, "sub_3")
    make.deliver("customer.deleted", make.customer("cus_3"), NOW + 20)
    assert accept(groups, token, "r-8", NOW + 21) is UnknownInvitation


def test_only_the_owner_manages_a_group(make: Any, groups: OwnedGroups) -> None:
    sell(make, 2)
    made, _ = groups.create_invitation("sub_1", "r-1", END, NOW)
    groups.assign_seat("sub_1", "r-1", "r-5", SITE, NOW)
    sell(make, 2, "sub_2", reader=None, customer="cus_2")
    make.deliver("customer.subscription.created", make.subscription("sub_3", customer="cus_3"))
    for owner, name in (("r-5", "sub_1"), ("r-2", "sub_1"), ("r-1", "sub_2"), ("r-2", "sub_3")):
        for work in (
            lambda name=name, owner=owner: groups.assign_seat(name, owner, "r-6", SITE, NOW),
            lambda name=name, owner=owner: groups.release_seat(name, owner, "r-5", SITE, NOW),
            lambda name=name, owner=owner: groups.create_invitation(name, owner, END, NOW),
            lambda name=name, owner=owner: groups.withdraw_invitation(name, owner, made.id, NOW),
        ):
            with pytest.raises(NotGroupOwner):
                work()
    with pytest.raises(UnknownSubscription):
        invite(groups, "sub_9")
    with pytest.raises(NoSeats):
        invite(groups, "sub_3")
    assert groups.list_owned("r-5", NOW) == []
    assert [group.subscription for group in groups.list_owned("r-1", NOW)] == ["sub_1"]
    assert [seat.reader for seat in groups.list_owned("r-1", NOW)[0].seats] == ["r-5"]


def test_merged_owner_and_members_count_as_the_reader_who_stays(make: Any, groups: OwnedGroups, admin: Any) -> None:
    sell(make, 3)
    first, second, third = (invite(groups) for _ in range(3))
    accept(groups, first, "r-5")
    accept(groups, second, "r-6")
    admin.merge_readers("r-6", "r-5", ADA, NOW)
    admin.merge_readers("r-new", "r-1", ADA, NOW)
    for owner in ("r-1", "r-new"):
        (group,) = groups.list_owned(owner, NOW)
        assert [seat.reader for seat in group.seats] == ["r-6"]
        made, _ = groups.create_invitation("sub_1", owner, END, NOW)
        groups.withdraw_invitation("sub_1", owner, made.id, NOW)
    for reader in ("r-5", "r-6"):
        assert [accept(groups, token, reader) for token in (first, second)] == ["sub_1", "sub_1"]
    assert accept(groups, third, "r-5") == "sub_1"
    (held,) = groups.list_held_seats("r-6")
    assert (held.subscription, len(held.invites)) == ("sub_1", 2)
    groups.release_seat("sub_1", "r-1", "r-5", SITE, NOW)
    assert [accept(groups, token, "r-6") for token in (first, second)] == [UnknownInvitation] * 2
    assert accept(groups, third, "r-5") == "sub_1"
    assert [seat.reader for seat in groups.list_owned("r-new", NOW)[0].seats] == ["r-6"]


def race(stage: Any, rounds: int, at_once: AllAtOnce) -> None:
    """Let two readers accept the last invitation at once, in rounds; every round exactly one gets the seat."""
    name, invitations, stored = "subscription:sub_1", Invitations(stage.store), stage.processor
    for number in range(rounds):
        last = Invitation(f"inv_{number}", END)
        rev = stored.objects.load(name).rev
        assert invitations.create(name, rev, 1, last, NOW) == "created"

        def ask(reader: int, number: int = number) -> Any:
            while True:
                rev = stored.objects.load(name).rev
                answer = stored.seats.assign(
                    name, rev, 1, f"r-{number}-{reader}", now=NOW, audit=b"{}", invitation=f"inv_{number}"
                )
                if answer != "retry":
                    return answer

        assert sorted(at_once(2, ask)) == ["closed", "given"]
        (reader,) = stored.objects.load(name).seats
        stored.seats.release(name, reader, NOW, b"{}")


def test_last_invitation_goes_to_one_of_two_in_hundreds_of_rounds(
    stage: Any, make: Any, all_at_once: AllAtOnce
) -> None:
    sell(make, 1)
    race(stage, 300, all_at_once)


def test_last_seat_goes_to_one_of_many_invited(
    stage: Any, make: Any, groups: OwnedGroups, all_at_once: AllAtOnce
) -> None:
    sell(make, 4)
    tokens = [invite(groups) for _ in range(4)]
    sell(make, 2)
    found = all_at_once(8, lambda number: accept(groups, tokens[number % 4], f"r-{number}"))
    assert found.count("sub_1") == 2
    assert groups.list_owned("r-1", NOW)[0].used == 2


def test_invitations_created_at_once_never_exceed_the_free_seats(
    make: Any, groups: OwnedGroups, all_at_once: AllAtOnce
) -> None:
    sell(make, 3)

    def ask(_: int) -> int:
        try:
            invite(groups)
        except InvitationsFull:
            return 0
        return 1

    assert sum(all_at_once(8, ask)) == 3


@pytest.mark.full
def test_last_invitation_goes_to_one_of_two_on_a_cluster(
    build_cluster: BuildCluster, catalogue: Any, connect: Any, all_at_once: AllAtOnce
) -> None:
    link = connect(build_cluster("valkey").url)
    assert link.wait(60)
    stage = Stage(link, catalogue)
    sell(Maker(stage), 1)
    race(stage, 200, all_at_once)
    groups = groups_of(stage, Notebook(link, stage.keys))
    token = invite(groups)
    assert accept(groups, token, "r-5") == "sub_1"
    assert set(stage.held("r-5", NOW)) == {"notebook"}
    groups.release_seat("sub_1", "r-1", "r-5", SITE, NOW)
    assert accept(groups, token, "r-5") is UnknownInvitation

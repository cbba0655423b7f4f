"""Groups that their owner manages: whose subscription it is gives seats, takes them back, and invites readers.

The site vouches for who the owner and who a reader is. An invitation is a signed token for one seat, whose state lies beside
the seats (contract, "Groups managed by their owner").
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from service.adapters.crypto import new_id
from service.adapters.redis.audit.audit import Actor, audit_entry
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.stripe_objects.objects import StoredObject
from service.adapters.redis.stripe_objects.seats import (
    CreateVerdict,
    Invitation,
    Invitations,
    Seat,
    SeatVerdict,
    seats_of,
)
from service.adapters.signed_tokens import InvitationClaims, SignedTokens
from service.domain.errors import (
    EndedSubscription,
    InvalidFields,
    InvitationsFull,
    NotGroupOwner,
    SeatsFull,
    UnknownInvitation,
    UnknownSubscription,
)
from service.domain.sources import Standing, Subscription
from service.domain.times import write_time
from service.use_cases.subscriptions.event_processor import EventProcessor
from service.use_cases.subscriptions.projections import group_holdings, seats_paid_for
from service.use_cases.subscriptions.subscription_admin import SeatGroup, SubscriptionAdmin


@dataclass(frozen=True, slots=True)
class OwnedGroup:
    """A group as its owner sees it; `invites` are its open invitations."""

    subscription: str
    plan: str
    quantity: int
    seats: tuple[Seat, ...]
    invites: tuple[Invitation, ...]
    has_ended: bool

    @property
    def used(self) -> int:
        return len(self.seats)


@dataclass(frozen=True, slots=True)
class HeldSeat:
    """A seat that a reader has, since when (epoch seconds), and the invitations by which they got it."""

    subscription: str
    since: int
    invites: Sequence[str]


@dataclass(frozen=True)
class OwnedGroups:
    """Groups for their owners and members. Raises: StoreUnavailable from every method."""

    processor: EventProcessor
    admin: SubscriptionAdmin
    invitations: Invitations
    tokens: SignedTokens[InvitationClaims]

    # ------------------------------------------------------------------------------------------------- the owner's

    def list_owned(self, owner: str, now: float) -> list[OwnedGroup]:
        """Return the groups of a reader, the oldest first, also those that have ended."""
        catalogue, owned = self.processor.catalogue, self._load_owned(owner)
        found = [(obj, paid) for obj in owned if (paid := seats_paid_for(obj.facts, catalogue)) is not None]
        invites = self.invitations.list_open([obj.name for obj, _ in found], now)
        return [self._group(obj, quantity, rows, now) for (obj, quantity), rows in zip(found, invites, strict=True)]

    def _group(self, obj: StoredObject, quantity: int, invites: Sequence[Invitation], now: float) -> OwnedGroup:
        return OwnedGroup(
            obj.ref.id,
            str(group_holdings(obj, self.processor.catalogue)[0].plan),
            quantity,
            seats=seats_of(obj),
            invites=tuple(invites),
            has_ended=self._has_ended(obj, now),
        )

    def assign_seat(self, subscription: str, owner: str, reader: str, actor: Actor, now: float) -> SeatGroup:
        """Assign a seat for the owner. Raises: UnknownSubscription, NotGroupOwner, NoSeats, SeatsFull."""
        self._check_owner(subscription, owner, now)
        return self.admin.assign_seat(subscription, reader, actor, now)

    def release_seat(self, subscription: str, owner: str, reader: str, actor: Actor, now: float) -> SeatGroup:
        """Take a seat back for the owner. Raises: UnknownSubscription, NotGroupOwner, NoSeats."""
        self._check_owner(subscription, owner, now)
        return self.admin.release_seat(subscription, reader, actor, now)

    def create_invitation(
        self, subscription: str, owner: str, until: float, now: float, *, named: str | None = None
    ) -> tuple[Invitation, str]:
        """Create an invitation to one seat and return it with its token; `named` is the same for a repeat of the request.

        Raises: InvalidFields, UnknownSubscription, NotGroupOwner, NoSeats, EndedSubscription, InvitationsFull.
        """
        invitation = Invitation(new_id("inv", now, named), int(until))
        if invitation.until <= now:
            raise InvalidFields([("until", "must lie ahead")])
        self._check_owner(subscription, owner, now)
        verdict: CreateVerdict = "retry"
        while verdict == "retry":
            obj, quantity = self._load_running(subscription, now)
            verdict = self.invitations.create(obj.name, obj.rev, quantity, invitation, now)
        if verdict == "full":
            raise InvitationsFull
        return invitation, self.tokens.sign(InvitationClaims(invitation.id, subscription, invitation.until))

    def withdraw_invitation(self, subscription: str, owner: str, invitation: str, now: float) -> Invitation:
        """Withdraw an open invitation; a repeat changes nothing.

        Raises: UnknownSubscription, NotGroupOwner, UnknownInvitation.
        """
        self._check_owner(subscription, owner, now)
        found = self.invitations.withdraw(f"subscription:{subscription}", invitation, now)
        if found is None:
            raise UnknownInvitation
        return found

    def list_open_invitations(self, subscription: str, now: float) -> list[Invitation]:
        return self.invitations.list_open([f"subscription:{subscription}"], now)[0]

    # ------------------------------------------------------------------------------------------------ the member's

    def accept_invitation(self, token: str, reader: str, actor: Actor, now: float) -> str:
        """Give a reader the seat of an invitation, and return the subscription.

        A reader who has a seat keeps it, and the invitation stays open, unless they got the seat by it.
        Raises: UnknownInvitation, NoSeats, SeatsFull.
        """
        claims = self.tokens.read(token)
        if claims is None:
            raise UnknownInvitation
        subscription = claims.subscription
        heir = self.processor.owners.find_reader(reader).reader
        after = {"subscription": subscription, "since": write_time(now), "invite": claims.id}
        entry = audit_entry(actor, "seat.give", now=now, reader=heir, target=subscription, after=after)
        with self.admin.recording_at(f"subscription:{subscription}", entry, now) as signed:
            verdict: SeatVerdict = "retry"
            while verdict == "retry":
                try:
                    obj, quantity = self._load_running(subscription, now)
                except (UnknownSubscription, EndedSubscription):
                    raise UnknownInvitation from None
                verdict = self.processor.seats.assign(
                    obj.name, obj.rev, quantity, heir, now=now, audit=signed, invitation=claims.id
                )
            if verdict == "closed":
                raise UnknownInvitation
            if verdict == "full":
                raise SeatsFull
        return subscription

    def list_held_seats(self, reader: str) -> list[HeldSeat]:
        """Return the seats of a reader, by subscription."""
        subscriptions = [one for one in self.processor.readers.load_all(reader) if isinstance(one, Subscription)]
        names = sorted(f"subscription:{one.id}" for one in subscriptions if one.role == "seat")
        objects = self.processor.objects.load_all(names)
        accepted = self.invitations.list_accepted(names, reader)
        return [
            HeldSeat(obj.ref.id, obj.seats[reader] // 1000, invites)
            for obj, invites in zip(objects, accepted, strict=True)
            if reader in obj.seats
        ]

    # ----------------------------------------------------------------------------------------------------- erasure

    def withdraw_all_of(self, owners: Collection[str]) -> None:
        """Delete the unused invitations of the groups that a reader owns under any of these IDs."""
        for owner in owners:
            self.invitations.withdraw_all([obj.name for obj in self._load_owned(owner)])

    # ------------------------------------------------------------------------------------------------------ shared

    def _load_owned(self, owner: str) -> list[StoredObject]:
        """Return the subscriptions that a reader owns now, under the ID that they have after merges."""
        processor, heir = self.processor, self.processor.owners.find_reader(owner).reader
        owned = {name for name in processor.readers.list_owned_objects(heir) if name.startswith("subscription:")}
        # A gift is not listed with its owner, because the payer's customer is not theirs; its source is.
        subscriptions = [one for one in processor.readers.load_all(heir) if isinstance(one, Subscription)]
        owned |= {f"subscription:{one.id}" for one in subscriptions if one.role == "gift"}
        found = processor.objects.load_all(list(owned))
        mine = [obj for obj in found if obj.owner.reader and reader_hash(obj.owner.reader) == reader_hash(heir)]
        return sorted(mine, key=lambda obj: (obj.facts.created if obj.facts else 0, obj.name))

    def _check_owner(self, subscription: str, owner: str, now: float) -> None:
        stored = self.admin.load_subscription(subscription, now).owner.reader
        if stored is None:
            raise NotGroupOwner
        asking, owning = self.processor.owners.find_readers([owner, stored])
        if asking.reader != owning.reader:
            raise NotGroupOwner

    def _load_running(self, subscription: str, now: float) -> tuple[StoredObject, int]:
        """Return a subscription and its paid seats. Raises: UnknownSubscription, EndedSubscription, NoSeats."""
        obj, quantity = self.admin.load_group(subscription, now)
        if self._has_ended(obj, now):
            raise EndedSubscription
        return obj, quantity

    def _has_ended(self, obj: StoredObject, now: float) -> bool:
        return all(one.standing_at(now) is Standing.ENDED for one in group_holdings(obj, self.processor.catalogue))

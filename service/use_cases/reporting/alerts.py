"""What needs somebody's hand, and where to mend it; for the first page, the API and the digest.

Everything comes from short lists that are written as things happen (`onlooker`, the worker); each entry is asked after
before it is shown, so what was mended is gone at once, wherever it was mended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from service.adapters.redis.grants.grant_ends import GrantEnds
from service.adapters.redis.reporting.alert_flags import AttentionStore, Flag
from service.domain.catalogue import DAY, HOUR, Catalogue
from service.domain.stripe_facts import Told
from service.use_cases.reporting.change_listeners import is_paid_for, unknown_prices
from service.use_cases.subscriptions.catch_up import CaughtUp
from service.use_cases.subscriptions.full_sync import Swept
from service.use_cases.subscriptions.processor import Engine

ENDS_WITHIN = 14 * DAY
TOLD_FOR = DAY
"""Seconds for which a gap in the events, or a clock that was off, is told of after it was last met with."""
DRIFT_FOR = 2 * DAY
CAUGHT_UP_WITHIN = HOUR
CLOCK_HURTS = 60
"""Seconds by which our clock may be behind Stripe's."""
EXAMPLES = 10
_LOOKED_AT = 50

Kind = Literal[
    "dead_letters", "unknown_prices", "ownerless", "grants_ending", "drift", "event_gap", "catch_up_late", "clock"
]


@dataclass(frozen=True, slots=True)
class Example:
    """One case: what it is (an event's, a price's, a grant's id …), whose, when (epoch seconds), and what is to be said."""

    id: str
    reader: str | None = None
    at: float | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One kind of thing: how many, some of them, and where it is mended. `hand` says whether it has to be."""

    kind: Kind
    count: int
    hand: bool
    title: str
    mend: str
    where: str
    examples: Sequence[Example] = field(default_factory=tuple)


class Attention:
    """Every method raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, catalogue: Catalogue, engine: Engine, notes: AttentionStore, ends: GrantEnds) -> None:
        self._catalogue = catalogue
        self._engine = engine
        self._notes = notes
        self._ends = ends

    def items(self, now: float) -> list[Item]:
        """Every kind, in a fixed order; with the count 0 where all is well."""
        flags = self._notes.flags()
        return [
            self._dead_letters(),
            self._unknown_prices(),
            self._ownerless(now),
            self._event_gap(flags, now),
            self._catch_up_late(flags, now),
            self._drift(flags, now),
            self._clock(flags, now),
            self._grants_ending(now),
        ]

    def _dead_letters(self) -> Item:
        count, latest = self._notes.dead_letters(EXAMPLES)
        return Item(
            "dead_letters",
            count,
            True,
            "events of Stripe's were given up after ten tries",
            "Look at what went wrong, then replay the event (paywall events replay ID).",
            "/v1/events",
            [Example(event, at=at) for event, at in latest],
        )

    def _unknown_prices(self) -> Item:
        found = self._notes.prices()
        stored = self._engine.objects.load_all([bought.name for bought in found])
        left = [
            bought
            for bought, obj in zip(found, stored, strict=True)
            if obj.told is not None and bought in unknown_prices(obj.name, obj.told, self._catalogue)
        ]
        self._notes.drop_prices([bought for bought in found if bought not in left])
        return Item(
            "unknown_prices",
            len(left),
            True,
            "prices were bought that no plan has, so they open nothing",
            "Add the price to a plan in paywall.toml; what was bought counts as soon as it is there.",
            "paywall.toml",
            [Example(b.price, text=f"product {b.product or '-'}, in {b.name}") for b in left[:EXAMPLES]],
        )

    def _ownerless(self, now: float) -> Item:
        count, names = self._notes.ownerless(_LOOKED_AT)
        left = self._still_ownerless(names, now)
        return Item(
            "ownerless",
            count - len(names) + len(left),
            True,
            "payments are nobody's: no reader is named in them",
            "Link the customer or the subscription to the reader.",
            "/v1/readers/{reader}/links",
            [
                Example(told.ref.id, at=told.created, text=f"customer {told.customer or '-'}")
                for told in left[:EXAMPLES]
            ],
        )

    def _still_ownerless(self, names: Sequence[str], now: float) -> list[Told]:
        """Of these, what is paid for, not over and still nobody's; the others are taken out of the list."""
        left: list[Told] = []
        mended: list[str] = []
        for stored in self._engine.objects.load_all(names):
            told = stored.told
            if stored.owner.reader is not None or told is None or not is_paid_for(told, self._catalogue, now):
                mended.append(stored.name)
            else:
                left.append(told)
        self._notes.drop_ownerless(mended)
        return left

    def tidy(self, now: float) -> None:
        """Takes out of the lists whatever was mended or is over, however far down it stands; hourly, by the worker."""
        self._notes.tidy()
        for names in self._notes.all_ownerless():
            self._still_ownerless(names, now)

    def _grants_ending(self, now: float) -> Item:
        soon = self._ends.ending(now, now + ENDS_WITHIN, EXAMPLES)
        return Item(
            "grants_ending",
            self._ends.count(now, now + ENDS_WITHIN),
            False,
            f"grants end within {ENDS_WITHIN // DAY} days",
            "Give the grant another end, where it is to go on.",
            "/v1/readers/{reader}/grants/{grant}",
            [
                Example(e.grant, e.reader, e.until, e.plan or "single features")
                if e.import_id is None
                else Example(e.grant, e.reader, e.until, f"{e.plan}, by the import {e.import_id}")
                for e in soon
            ],
        )

    def _event_gap(self, flags: dict[str, Flag], now: float) -> Item:
        flag = _recent(flags.get("event_gap"), now, TOLD_FOR)
        return Item(
            "event_gap",
            flag.count if flag else 0,
            True,
            "events of Stripe's never reached us and were found in its list",
            "See in Stripe's dashboard why deliveries fail: the endpoint's address, its signing secret, a firewall.",
            "paywall doctor",
            _of(flag, "events"),
        )

    def _catch_up_late(self, flags: dict[str, Flag], now: float) -> Item:
        """A service without a key to Stripe has no catch-up, and so none that is late."""
        flag = flags.get("caught_up")
        late = self._engine.gateway is not None and flag is not None and now - flag.at > CAUGHT_UP_WITHIN
        return Item(
            "catch_up_late",
            1 if late else 0,
            True,
            "no catch-up with Stripe's events for over an hour",
            "See whether a worker runs, and whether Stripe takes the key.",
            "paywall doctor",
            [Example("catch-up", at=flag.at, text="the last one")] if late and flag else [],
        )

    def _drift(self, flags: dict[str, Flag], now: float) -> Item:
        flag = _recent(flags.get("drift"), now, DRIFT_FOR)
        return Item(
            "drift",
            flag.count if flag else 0,
            True,
            "objects were not kept as Stripe has them, at the last sweep",
            "They were mended where Stripe could be read; see whether deliveries arrive, and sweep again.",
            "paywall reconcile --sweep",
            _of(flag, "sweep"),
        )

    def _clock(self, flags: dict[str, Flag], now: float) -> Item:
        flag = _recent(flags.get("clock"), now, TOLD_FOR)
        return Item(
            "clock",
            1 if flag else 0,
            True,
            "this machine's clock is behind Stripe's",
            "Set the clock by NTP: a signature from five minutes ago is refused.",
            "paywall doctor",
            _of(flag, "clock"),
        )

    # What the worker and the webhook have noticed.

    def caught_up(self, found: CaughtUp, now: float) -> None:
        """A catch-up ended."""
        self._notes.raise_flag("caught_up", found.listed, "", now)
        if found.late:
            before = _recent(self._notes.flags().get("event_gap"), now, TOLD_FOR)
            count = found.late + (before.count if before else 0)
            self._notes.raise_flag("event_gap", count, "found by catching up", now)

    def swept(self, found: Swept, now: float) -> None:
        """A sweep ended."""
        if not found.drift:
            self._notes.lower_flag("drift")
            return
        by = {
            what: sum(drift.what == what for drift in found.drift)
            for what in dict.fromkeys(d.what for d in found.drift)
        }
        unmended = sum(not drift.mended for drift in found.drift)
        told = ", ".join(f"{count} {what}" for what, count in by.items())
        self._notes.raise_flag("drift", len(found.drift), f"{told}; {unmended} not mended", now)

    def clock_behind(self, seconds: float, now: float) -> None:
        """An event came that was made in our future."""
        if seconds > CLOCK_HURTS:
            self._notes.raise_flag("clock", round(seconds), f"at least {round(seconds)} s behind", now)


def _recent(flag: Flag | None, now: float, within: float) -> Flag | None:
    return flag if flag is not None and now - flag.at <= within else None


def _of(flag: Flag | None, name: str) -> list[Example]:
    return [Example(name, at=flag.at, text=flag.detail)] if flag else []

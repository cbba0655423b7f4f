"""Which of two events about one object is the newer one: only for the time that Stripe itself cannot be asked.

Stripe's `created` is in whole seconds, and a dozen events may share one; so the payloads are compared too. Where even they
cannot tell, the answer says so, and the object has to be read before it is believed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from service.domain.stripe_facts import Fingerprint, StripeFacts

Verdict = Literal["take", "keep", "undecided"]
"""Of the incoming event: it is newer, it is not, it cannot be known (then keep what there is)."""

RANKS: dict[str, dict[str, int]] = {
    "status": {"incomplete": 0, "trialing": 1, "open": 0},
    "payment_status": {"unpaid": 0},
}
"""Words that an object begins with; any other word of the field comes later (`LATER`)."""
LATER = 2


@dataclass(frozen=True, slots=True)
class StateVersion:
    """What is known of the state that was applied last; kept beside it. `type` is empty where it was read from Stripe."""

    created: int
    type: str
    fingerprint: Fingerprint
    previous: Fingerprint = field(default_factory=dict)
    terminal: bool = False


def mark(facts: StripeFacts, *, created: int, event_type: str, previous: Fingerprint) -> StateVersion:
    """The mark of a payload: `created` and type of its event, `previous` as in its `EventContent`."""
    return StateVersion(created, event_type, facts.fingerprint, previous, facts.terminal)


def mark_of_read(facts: StripeFacts, *, created: int) -> StateVersion:
    """The mark of what Stripe answered; `created` is the latest of all events about it that were told before the read.

    What the read saw beyond those events is unknown, so an event later than they are counts as newer.
    """
    return StateVersion(created, "", facts.fingerprint, {}, facts.terminal)


def newer(incoming: StateVersion, applied: StateVersion | None) -> Verdict:
    """Whether the incoming state is newer than the applied one. The rules in order; the first that can tell decides."""
    if applied is None:
        return "take"
    if incoming.terminal != applied.terminal:
        return _take_if(incoming.terminal)
    if incoming.created != applied.created:
        return _take_if(incoming.created > applied.created)
    if incoming.fingerprint == applied.fingerprint:
        return "keep"
    if _begins(incoming) != _begins(applied):
        return _take_if(_begins(applied))
    follows, precedes = _follows(incoming, applied), _follows(applied, incoming)
    if follows != precedes:  # Where both hold (a change and its undoing) neither is evidence.
        return _take_if(follows)
    mine, theirs = _progress(incoming.fingerprint), _progress(applied.fingerprint)
    return _take_if(mine > theirs) if mine != theirs else "undecided"


def _take_if(is_newer: bool) -> Verdict:
    return "take" if is_newer else "keep"


def _begins(state: StateVersion) -> bool:
    """The first of all events about an object."""
    return state.type.endswith(".created")


def _follows(later: StateVersion, earlier: StateVersion) -> bool:
    """Whether what the later one says was there before is just what the earlier one has."""
    known = [name for name in later.previous if name in earlier.fingerprint]
    return bool(known) and all(_equal(later.previous[name], earlier.fingerprint[name]) for name in known)


def _equal(one: object, other: object) -> bool:
    """Lists that came as JSON and tuples that did not are the same."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(_equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))
    return one == other


def _progress(fingerprint: Fingerprint) -> tuple[int, ...]:
    """How far along an object is: the end of its latest period, then its words."""
    return _period_end(fingerprint), *(_rank(name, fingerprint) for name in RANKS)


def _rank(name: str, fingerprint: Fingerprint) -> int:
    return RANKS[name].get(str(fingerprint.get(name)), LATER)


def _period_end(fingerprint: Fingerprint) -> int:
    items = fingerprint.get("items")
    ends = (
        [row[-1] for row in items if isinstance(row, list | tuple) and row] if isinstance(items, list | tuple) else []
    )
    ends.append(fingerprint.get("current_period_end"))
    return max((end for end in ends if isinstance(end, int)), default=0)

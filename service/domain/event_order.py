"""Which of two events about one object is the newer one: only for the time that Stripe itself cannot be asked.

Stripe's `created` is in whole seconds, and a dozen events may share one; so the payloads are compared too. Where even they
cannot tell, the answer says so, and the object has to be read before it is believed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from service.domain.stripe_facts import Facts, Told

Verdict = Literal["take", "keep", "undecided"]
"""Of the incoming event: it is newer, it is not, it cannot be known (then keep what there is)."""

RANKS: dict[str, dict[str, int]] = {
    "status": {"incomplete": 0, "trialing": 1, "open": 0},
    "payment_status": {"unpaid": 0},
}
"""Words that an object begins with; any other word of the field comes later (`LATER`)."""
LATER = 2


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of the state that was applied last; kept beside it. `type` is empty where it was read from Stripe."""

    created: int
    type: str
    facts: Facts
    previous: Facts = field(default_factory=dict)
    terminal: bool = False


def mark(told: Told, *, created: int, event_type: str, previous: Facts) -> Mark:
    """The mark of a payload: `created` and type of its event, `previous` as in its `Signal`."""
    return Mark(created, event_type, told.facts, previous, told.terminal)


def mark_of_read(told: Told, *, created: int) -> Mark:
    """The mark of what Stripe answered; `created` is the latest of all events about it that were told before the read.

    What the read saw beyond those events is unknown, so an event later than they are counts as newer.
    """
    return Mark(created, "", told.facts, {}, told.terminal)


def newer(incoming: Mark, applied: Mark | None) -> Verdict:
    """Whether the incoming state is newer than the applied one. The rules in order; the first that can tell decides."""
    if applied is None:
        return "take"
    if incoming.terminal != applied.terminal:
        return _take_if(incoming.terminal)
    if incoming.created != applied.created:
        return _take_if(incoming.created > applied.created)
    if incoming.facts == applied.facts:
        return "keep"
    if _begins(incoming) != _begins(applied):
        return _take_if(_begins(applied))
    follows, precedes = _follows(incoming, applied), _follows(applied, incoming)
    if follows != precedes:  # Where both hold (a change and its undoing) neither is evidence.
        return _take_if(follows)
    mine, theirs = _progress(incoming.facts), _progress(applied.facts)
    return _take_if(mine > theirs) if mine != theirs else "undecided"


def _take_if(is_newer: bool) -> Verdict:
    return "take" if is_newer else "keep"


def _begins(state: Mark) -> bool:
    """The first of all events about an object."""
    return state.type.endswith(".created")


def _follows(later: Mark, earlier: Mark) -> bool:
    """Whether what the later one says was there before is just what the earlier one has."""
    known = [name for name in later.previous if name in earlier.facts]
    return bool(known) and all(_equal(later.previous[name], earlier.facts[name]) for name in known)


def _equal(one: object, other: object) -> bool:
    """Lists that came as JSON and tuples that did not are the same."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(_equal(mine, theirs) for mine, theirs in zip(one, other, strict=True))
    return one == other


def _progress(facts: Facts) -> tuple[int, ...]:
    """How far along an object is: the end of its latest period, then its words."""
    return _period_end(facts), *(_rank(name, facts) for name in RANKS)


def _rank(name: str, facts: Facts) -> int:
    return RANKS[name].get(str(facts.get(name)), LATER)


def _period_end(facts: Facts) -> int:
    items = facts.get("items")
    ends = (
        [row[-1] for row in items if isinstance(row, list | tuple) and row] if isinstance(items, list | tuple) else []
    )
    ends.append(facts.get("current_period_end"))
    return max((end for end in ends if isinstance(end, int)), default=0)

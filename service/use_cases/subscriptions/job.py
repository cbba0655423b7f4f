"""What one piece of work carries along, and what one look at an object gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from service.adapters.redis.stripe_objects.inbox import EventResult
from service.adapters.stripe.transport import Patience


@dataclass(slots=True)
class Job:
    """Why something is done, until when it may go on, and how long it waits for Stripe."""

    now: float
    cause: str
    """Where no event is the cause: what readers' histories say instead."""
    in_time: Callable[[], bool]
    may_ask: Callable[[], bool]
    """Whether there is still time to ask Stripe something more."""
    patience: Patience = "worker"
    force: bool = False
    """Take objects up even if somebody else seems to be reading them."""
    gives_up: bool = False
    """Whether an event that waits for Stripe to be read is dead after ten tries: only where somebody asks for the tries.
    By itself the service waits for as long as an outage of Stripe's lasts."""
    away: bool = False
    """Stripe could not be read; the rest of this errand does not try again."""
    under_way: set[str] = field(default_factory=set)
    """What is being worked on, each on account of the one before: none is taken up twice at a time."""
    on_account_of: tuple[str, str] | None = None
    """The event that all this follows from, and the object that it is about first: to it the changes are noted."""
    held_before: dict[tuple[str, str], object] = field(default_factory=dict)
    """What readers held before an event changed it: one event may change several of a reader's sources."""

    def under(self, event: tuple[str, str] | None) -> tuple[str, str] | None:
        """From now on all is on account of this event, if there is one. Gives what it was on account of before."""
        before, self.on_account_of = self.on_account_of, event or self.on_account_of
        return before


@dataclass(slots=True)
class RefreshResult:
    """One look at an object: what has become of the events that waited, what else has to be read, whether Stripe failed."""

    done: list[EventResult]
    onward: list[str]
    failed: bool = False

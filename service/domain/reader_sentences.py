"""A decision in one sentence for the reader, which staff can quote in a reply.

It names the reader's plan, the stories they have read and when that changes. It contains nothing internal: no reason of a
grant, no admin's name, no ID.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from service.domain.catalogue import Catalogue
from service.domain.decision import Decision
from service.domain.meter import MeterStanding
from service.domain.sources import Reason
from service.domain.times import LAST_DAY

Words = Callable[[Decision, Catalogue], str]
_NOT_FOR_FREE = "This story is for supporters."


def reader_sentence(decision: Decision, catalogue: Catalogue) -> str:
    """Return why the story is open or locked, as a sentence to the reader. Dates are in the site's time zone."""
    return SENTENCES[decision.reason](decision, catalogue)


def format_day(moment: float, catalogue: Catalogue) -> str:
    """Return a date in the site's time zone, like `1 December 2026`."""
    at = datetime.fromtimestamp(min(moment, LAST_DAY), catalogue.zone)
    return f"{at.day} {at:%B} {at.year}"


def _held(words: str) -> Words:
    """Return a writer of `words`, which can contain `{plan}`; it adds the end of the source if there is one.

    A source without a plan, or of a plan that is gone, is called by its noun alone: "your subscription".
    """

    def write(decision: Decision, catalogue: Catalogue) -> str:
        source = decision.source
        plan = catalogue.plans.get(source.plan) if source is not None and source.plan else None
        named = words if plan else words.replace("{plan} ", "")
        text = named.format(plan=plan.name if plan else "access")
        if source is None or source.until is None:
            return f"{text}."
        return f"{text}, at least until {format_day(source.until, catalogue)}."

    return write


def _plain(words: str) -> Words:
    return lambda _, __: words


def _metered(decision: Decision, catalogue: Catalogue) -> str:
    meter = decision.meter
    if meter is None:
        return "This is one of your free stories."
    if not meter.limit:  # It was counted under a plan that has ended.
        return "You have read this story before."
    which = "your" if meter.limit == 1 else "one of your"
    again = _more_from(meter.resets_at, catalogue) if meter.used <= meter.limit else ""
    return f"This is {which} {_stories(meter, catalogue)}; {meter.left} left{again}."


def _used_up(decision: Decision, catalogue: Catalogue) -> str:
    """Say when there are more, or when the story opens: with more counted than allowed, the next reset is too early."""
    meter = decision.meter
    if meter is None:
        return "You have read all your free stories."
    if not meter.limit:
        return _NOT_FOR_FREE
    opens_at = next((step.until for step in decision.next if step.step == "wait"), None)
    again = _more_from(opens_at, catalogue)
    if opens_at is not None and opens_at != meter.resets_at:
        again = f"; this story opens on {format_day(opens_at, catalogue)}"
    return f"You have read your {_stories(meter, catalogue)}{again}."


def _stories(meter: MeterStanding, catalogue: Catalogue) -> str:
    plan = catalogue.plans.get(meter.plan) if meter.plan is not None else None
    stories = "story" if meter.limit == 1 else "stories"
    return f"{meter.limit} free {stories}" if plan is None else f"{meter.limit} {stories} with {plan.name}"


def _more_from(moment: int | None, catalogue: Catalogue) -> str:
    return f", more from {format_day(moment, catalogue)}" if moment is not None else ""


def _unavailable(decision: Decision, _: Catalogue) -> str:
    if decision.show == "full":
        return "We cannot look up your subscription right now, so this story is open."
    return "We cannot look up your subscription right now. Please try again in a few minutes."


SENTENCES: Mapping[Reason, Words] = {
    Reason.FREE: _plain("This story is free for everyone."),
    Reason.REGISTERED: _plain("You read this because you are signed in."),
    Reason.SUBSCRIPTION: _held("You read this with your {plan} subscription"),
    Reason.TRIAL: _held("You read this with your {plan} trial"),
    Reason.GRACE: _held("Your last {plan} payment did not go through. You keep access while it is retried"),
    Reason.PASS: _held("You read this with your {plan}"),
    Reason.SEAT: _held("You read this with a seat in your group's {plan} subscription"),
    Reason.GRANT: _held("We gave you {plan}"),
    Reason.GIFT: _held("You read this as a gift"),
    Reason.INSTITUTION: _held("You read this with your institution's access"),
    Reason.METERED: _metered,
    Reason.STORE_UNAVAILABLE: _unavailable,
    Reason.NO_ENTITLEMENT: _plain(_NOT_FOR_FREE),
    Reason.METER_USED_UP: _used_up,
    Reason.SIGN_IN_REQUIRED: _plain("Please sign in to read this story."),
    Reason.VERIFICATION_REQUIRED: _plain("Please confirm your email address to read this story."),
}
"""One sentence for each reason code."""

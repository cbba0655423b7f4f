"""Why, in a sentence for the reader herself: nothing in it that is the newsroom's business alone.

No grant's reason, no admin's name, no id: what she holds by its plan's name, what she has read, and when that changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from service.domain.catalogue import Catalogue
from service.domain.decision import Decision
from service.domain.sources import Reason

Words = Callable[[Decision, Catalogue], str]

LAST = 253_402_214_400
"""The last day of the year 9999 begins: in every zone that is a date, which a later moment need not be."""


def sentence(decision: Decision, catalogue: Catalogue) -> str:
    """Why the story is shown as it is, said to the reader. Dates are the site's own."""
    return SENTENCES[decision.reason](decision, catalogue)


def day(moment: float, catalogue: Catalogue) -> str:
    """A date as people write it, in the site's zone: `1 December 2026`."""
    at = datetime.fromtimestamp(min(moment, LAST), catalogue.zone)
    return f"{at.day} {MONTHS[at.month - 1]} {at.year}"


def _held(words: str) -> Words:
    """`words` may name the `{plan}`; an end is added where there is one."""

    def said(decision: Decision, catalogue: Catalogue) -> str:
        source = decision.source
        plan = catalogue.plans.get(source.plan) if source is not None and source.plan else None
        text = words.format(plan=plan.name if plan else "access")
        if source is None or source.until is None:
            return f"{text}."
        return f"{text}, at least until {day(source.until, catalogue)}."

    return said


def _plain(words: str) -> Words:
    return lambda _, __: words


def _metered(decision: Decision, catalogue: Catalogue) -> str:
    meter = decision.meter
    if meter is None:
        return "This is one of your free stories."
    return f"This is one of your {meter.limit} free stories; {meter.left} left{_again(decision, catalogue)}."


def _used_up(decision: Decision, catalogue: Catalogue) -> str:
    meter = decision.meter
    if meter is None:
        return "You have read all your free stories."
    return f"You have read your {meter.limit} free stories{_again(decision, catalogue)}."


def _again(decision: Decision, catalogue: Catalogue) -> str:
    resets_at = decision.meter.resets_at if decision.meter else None
    return f"; more from {day(resets_at, catalogue)}" if resets_at is not None else ""


def _away(decision: Decision, _: Catalogue) -> str:
    if decision.show == "full":
        return "We cannot look up your subscription right now, so this story is open."
    return "We cannot look up your subscription right now; please try again in a few minutes."


SENTENCES: Mapping[Reason, Words] = {
    Reason.FREE: _plain("This story is free for everybody."),
    Reason.SUBSCRIPTION: _held("You read this with your {plan} subscription"),
    Reason.TRIAL: _held("You read this with your {plan} trial"),
    Reason.GRACE: _held("Your last {plan} payment did not go through; you keep reading while it is tried again"),
    Reason.PASS: _held("You read this with your {plan}"),
    Reason.SEAT: _held("You read this with a seat of your group's {plan} subscription"),
    Reason.GRANT: _held("We have given you {plan}"),
    Reason.GIFT: _held("You read this as a gift"),
    Reason.INSTITUTION: _held("You read this with your institution's access"),
    Reason.METERED: _metered,
    Reason.STORE_UNAVAILABLE: _away,
    Reason.NO_ENTITLEMENT: _plain("This story is for supporters."),
    Reason.METER_USED_UP: _used_up,
    Reason.SIGN_IN_REQUIRED: _plain("Please sign in to read this story."),
}
"""What is said for each reason."""

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)

"""Policy tests: what a case gives, and where the ladder's answer differs from what the case expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.domain.catalogue import Catalogue, MeterPolicy, Story
from service.domain.decision import Identity, NextStep, resolve_entitlements
from service.domain.meter import MeterUse, Tally, window_at
from service.domain.next_steps import Situation, next_steps
from service.domain.sources import Grant, Holding, Reason, SourceType, Standing
from service.domain.times import write_time

SOURCES: Mapping[str, tuple[SourceType, Reason]] = {
    "subscription": ("subscription", Reason.SUBSCRIPTION),
    "trial": ("subscription", Reason.TRIAL),
    "grace": ("subscription", Reason.GRACE),
    "external": ("external", Reason.SUBSCRIPTION),
    "pass": ("pass", Reason.PASS),
    "seat": ("seat", Reason.SEAT),
    "grant": ("grant", Reason.GRANT),
    "gift": ("gift", Reason.GIFT),
}
"""How a case says that a plan is held → the type of the source, and its reason."""

_READER = b"reader"


@dataclass(frozen=True, slots=True)
class CasePlan:
    """A plan that the reader holds; the bounds are epoch seconds.

    `by` is a word of `SOURCES`; `None`: by a seat where the plan has seats, else by a subscription.
    """

    plan: str
    by: str | None = None
    start: int = 0
    until: int | None = None


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """One case. `read` has the stories read before, by ID with the moment, for the reader and for the visitor.

    `None` there means that nobody is signed in, or that the browser has no ID. `meter` is the meter in which the stories
    were counted; without one it is that of the story's tier.
    """

    place: str
    name: str | None
    given: Mapping[str, Any]
    """The case as written, without what it expects."""
    expected: Mapping[str, Any]
    story: Story
    at: int
    verified: bool = False
    plans: Sequence[CasePlan] = ()
    reader_read: Mapping[str, int] | None = None
    visitor_read: Mapping[str, int] | None = None
    meter: str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of the answer that is not as expected."""

    case: PolicyCase
    field: str
    expected: Any
    got: Any


def find_differences(case: PolicyCase, catalogue: Catalogue) -> Iterator[Difference]:
    """Yield every field in which the ladder answers a case differently. The fields are named as in an answer."""
    got = answer(case, catalogue)
    for field, expected in case.expected.items():
        if not _fits(expected, got[field]):
            yield Difference(case, field, expected, got[field])


def answer(case: PolicyCase, catalogue: Catalogue) -> dict[str, Any]:
    """Return what an access check would answer without counting, in JSON values."""
    asked = situation_of(case, catalogue)
    decision = asked.decide()
    steps = () if decision.show == "full" else next_steps(asked)
    meter = decision.meter
    return {
        "show": decision.show,
        "reason": decision.reason.value,
        "tier": decision.tier,
        "next": [_step(step) for step in steps],
        "features": [name for name, _ in decision.held],
        "plan": decision.source.plan if decision.source else None,
        "parts": {part: "open" if opened else "locked" for part, opened in decision.parts},
        "meter": meter and {name: getattr(meter, name) for name in ("name", "limit", "used", "left", "plan")},
    }


def _step(step: NextStep) -> dict[str, Any]:
    values = {"verified": step.verified, "plans": step.plans and list(step.plans), "until": write_time(step.until)}
    return {"step": step.step, **{name: value for name, value in values.items() if value is not None}}


def _fits(expected: Any, got: Any) -> bool:
    """Return whether an answer has what is expected: a table may name some keys, and a step may be its word alone."""
    if isinstance(expected, Mapping):
        return isinstance(got, Mapping) and all(_fits(value, got.get(name)) for name, value in expected.items())
    if isinstance(expected, list):
        return len(expected) == len(got) and all(map(_fits, expected, got))
    if isinstance(expected, str) and isinstance(got, Mapping):
        return bool(got["step"] == expected)
    return bool(expected == got)


def situation_of(case: PolicyCase, catalogue: Catalogue) -> Situation:
    """Return the situation that a case describes."""
    holdings = [_holding(held, catalogue) for held in case.plans]
    tier = catalogue.tier_of(case.story, case.at)
    names = {tier.meter, *catalogue.later_meters(case.story, case.at)}
    counted_in = case.meter or tier.meter
    identity = Identity.ANONYMOUS
    if case.reader_read is not None:
        identity = Identity.VERIFIED if case.verified else Identity.SIGNED_IN
    return Situation(
        case.story,
        catalogue,
        case.at,
        identity,
        resolve_entitlements(holdings, catalogue.features, case.at),
        {name: _use(case, catalogue.meters[name], name == counted_in) for name in names if name is not None},
    )


def _holding(held: CasePlan, catalogue: Catalogue) -> Holding:
    """Return what a held plan opens: as a grant of that plan does, but a plan with seats only by a seat if Stripe bills it."""
    has_seats = catalogue.plans[held.plan].seats
    by = held.by or ("seat" if has_seats else "subscription")
    kind, reason = SOURCES[by]
    grant = Grant(f"{by} of {held.plan}", held.plan, (), "", held.start, held.until, "", 0)
    base = Standing.GRACE if reason is Reason.GRACE else Standing.GOOD
    holding = replace(grant.holdings(catalogue)[0], type=kind, reason=reason, base=base)
    if kind in ("subscription", "seat", "gift") and has_seats != (kind == "seat"):
        return replace(holding, features=(), meters=())
    return holding


def _use(case: PolicyCase, policy: MeterPolicy, has_reads: bool) -> MeterUse:
    window = window_at(policy, case.at)
    first = case.at - policy.length + 1 if policy.rolling else window.start

    def tally(read: Mapping[str, int] | None) -> Tally | None:
        if read is None:
            return None
        counting = {story.encode(): at if policy.rolling else 0 for story, at in read.items() if at >= first}
        return Tally(counting if has_reads else {})

    reader, visitor = tally(case.reader_read), tally(case.visitor_read)
    return MeterUse(policy, window, case.story.id.encode(), reader, visitor, (_READER,) if reader is not None else ())

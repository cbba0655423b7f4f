"""Compare the access of each reader in the export with their access here afterwards. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from service.use_cases.takeover.planning import MemberPlan, Person
from service.use_cases.takeover.reasons import TakeoverReason


@dataclass(frozen=True, slots=True)
class AccessDifference:
    """A reader whose access differs, why, and the row that shows it. A reader is `None` where the row names none."""

    file: int
    line: int
    reader: str | None
    before: bool
    after: bool
    reason: TakeoverReason


@dataclass(slots=True)
class Comparison:
    """How many readers have the same access, gain some or lose it, and each difference in the order of the rows."""

    same: int = 0
    gains: int = 0
    loses: int = 0
    differences: list[AccessDifference] = field(default_factory=list)

    def add(self, difference: AccessDifference) -> None:
        """Count a difference."""
        self.differences.append(difference)
        if difference.after:
            self.gains += 1
        else:
            self.loses += 1


@dataclass(frozen=True, slots=True)
class MovedSource:
    """A subscription that a link takes from its owner so far, and the row that makes the link."""

    owner: Person
    subscription: str
    plan: MemberPlan


def compare(plans: Sequence[MemberPlan], people: Mapping[str, Person], moved: Sequence[MovedSource] = ()) -> Comparison:
    """Return the comparison of all readers of an export, and of those from whom a link takes their last source.

    A row without a reader's ID stands for a reader of its own.
    """
    by_reader: dict[str, list[MemberPlan]] = {}
    found = Comparison()
    for plan in plans:
        if plan.reader is not None:
            by_reader.setdefault(plan.reader, []).append(plan)
        elif plan.access:
            found.add(_difference(plan, before=True, after=False, reason=plan.skipped))
    lost: dict[str, set[str]] = {}
    for one in moved:
        # A seat in it stays with its reader.
        lost.setdefault(one.owner.reader, set()).update(
            {f"subscription:{one.subscription}", f"gift:{one.subscription}"}
        )
    here = {person.reader: bool(person.sources - lost.get(person.reader, set())) for person in people.values()}
    for one in moved:
        owner = one.owner
        if owner.reader not in here and owner.sources and not owner.sources - lost[owner.reader]:
            here[owner.reader], place = False, one.plan.row
            found.add(AccessDifference(place.file, place.line, owner.reader, True, False, "linked_to_another_reader"))
    for reader, rows in by_reader.items():
        before, after = any(row.access for row in rows), here[reader] or any(row.opens for row in rows)
        if before == after:
            found.same += 1
        elif before:
            row = next(row for row in rows if row.access)
            found.add(_difference(row, before=True, after=False, reason=row.trouble or row.skipped))
        else:
            opening = next((row for row in rows if row.opens), None)
            reason: TakeoverReason = "runs_at_stripe" if opening is not None else "has_access_here"
            found.add(_difference(opening or rows[0], before=False, after=True, reason=reason))
    found.differences.sort(key=lambda one: (one.file, one.line))
    return found


def _difference(plan: MemberPlan, *, before: bool, after: bool, reason: TakeoverReason) -> AccessDifference:
    reader = plan.member.reader or None
    return AccessDifference(plan.row.file, plan.row.line, reader, before, after, reason)

"""Compare the access of each reader in the export with their access here afterwards. Pure."""

from __future__ import annotations

from collections import defaultdict
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
    after: bool
    reason: TakeoverReason

    @property
    def before(self) -> bool:
        return not self.after


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
    """Return the comparison of all readers of an export, and of all from whom a link takes their last source.

    A row without a reader's ID stands for a reader of its own.
    """
    by_reader: dict[str, list[MemberPlan]] = {}
    found = Comparison()
    for plan in plans:
        if plan.reader is not None:
            by_reader.setdefault(plan.reader, []).append(plan)
        elif plan.access:
            found.add(_difference(plan, after=False, reason=plan.skipped))
    lost = _taken_sources(moved)
    here = {person.reader: bool(person.sources - lost[person.reader]) for person in people.values()}
    # Of a reader with access in the export, the row that shows it says why it does not arrive.
    explained = {name for name, rows in by_reader.items() if here[name] or any(row.opens or row.access for row in rows)}
    locked_out = {
        one.owner.reader: one.plan.row
        for one in reversed(moved)
        if one.owner.sources and one.owner.sources <= lost[one.owner.reader] and one.owner.reader not in explained
    }
    for name, row in locked_out.items():
        found.add(AccessDifference(row.file, row.line, name, False, "linked_to_another_reader"))
    for reader, rows in by_reader.items():
        if reader not in locked_out:
            _compare_reader(found, rows, here=here[reader])
    found.differences.sort(key=lambda one: (one.file, one.line))
    return found


def _taken_sources(moved: Sequence[MovedSource]) -> defaultdict[str, set[str]]:
    """Return the sources that links take, by the reader who has them so far; a seat stays with its reader."""
    lost = defaultdict[str, set[str]](set)
    for one in moved:
        lost[one.owner.reader] |= {f"subscription:{one.subscription}", f"gift:{one.subscription}"}
    return lost


def _compare_reader(found: Comparison, rows: Sequence[MemberPlan], *, here: bool) -> None:
    """Count a reader by their rows; `here`: what they have here without them gives access."""
    opening = next((row for row in rows if row.opens), None)
    giving = next((row for row in rows if row.access), None)
    after = here or opening is not None
    if (giving is not None) == after:
        found.same += 1
    elif giving is not None:
        found.add(_difference(giving, after=False, reason=giving.trouble or giving.skipped))
    else:
        reason: TakeoverReason = "runs_at_stripe" if opening is not None else "has_access_here"
        found.add(_difference(opening or rows[0], after=True, reason=reason))


def _difference(plan: MemberPlan, *, after: bool, reason: TakeoverReason) -> AccessDifference:
    return AccessDifference(plan.row.file, plan.row.line, plan.member.reader or None, after, reason)

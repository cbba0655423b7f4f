"""The report of a take-over as JSON, and in words for a terminal and a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from service.use_cases.takeover.comparison import AccessDifference
from service.use_cases.takeover.reasons import TakeoverReason
from service.use_cases.takeover.takeover import TakeoverReport

_LINES = 10
"""Differences of one reason that a terminal shows."""


class ReasonText(NamedTuple):
    """What a reason says of a row or a reader, and what to do about it."""

    text: str
    advice: str = ""


REASONS: dict[TakeoverReason, ReasonText] = {
    "no_access": ReasonText("the export gives no access"),
    "free_level": ReasonText("the level is free there"),
    "unchanged": ReasonText("everything is here already"),
    "duplicate": ReasonText("another row says the same"),
    "no_reader_id": ReasonText("the row has no reader's ID", "Name the column with --reader-column."),
    "invalid_reader_id": ReasonText("the reader's ID is not valid here", "Name another column with --reader-column."),
    "level_without_plan": ReasonText(
        "the level has no line in takeover.toml", "Add a line under [levels], or to free."
    ),
    "plan_without_features": ReasonText("the plan opens no feature", "Choose another plan in takeover.toml."),
    "end_unknown": ReasonText("the export does not hold the end", "Set gift or recurring under [ends]."),
    "end_unreadable": ReasonText("the end is no date that can be read", "Write it as 2027-01-31 in the file."),
    "paid_until_passed": ReasonText("what they have paid has ended", "Export again if it is renewed since."),
    "no_stripe_id": ReasonText("the row names no customer and no subscription of Stripe"),
    "linked_to_another_reader": ReasonText(
        "another row links the same customer to another reader", "Correct one of the rows."
    ),
    "past_due_beyond_grace": ReasonText("past due at Stripe for longer than grace_days"),
    "ended_at_stripe": ReasonText("the subscription at Stripe has ended"),
    "unpaid_at_stripe": ReasonText("the subscription at Stripe is not paid, or is paused"),
    "no_subscription_at_stripe": ReasonText(
        "the customer has no subscription at Stripe", "If another customer pays, link that one: paywall links import."
    ),
    "price_without_plan": ReasonText(
        "the price at Stripe belongs to no plan", "Add it to prices or products of a plan in paywall.toml."
    ),
    "no_free_seat": ReasonText("the group has no seat left for its owner", "Release a seat, or add one at Stripe."),
    "group_not_read": ReasonText(
        "the group's subscription is not known here", "Set STRIPE_API_KEY, so that it can be read."
    ),
    "runs_at_stripe": ReasonText("the subscription runs at Stripe, and the export gives no access"),
    "has_access_here": ReasonText("they have access here already, and the export gives none"),
}


def write_takeover(report: TakeoverReport, import_id: str | None, files: Sequence[str]) -> dict[str, Any]:
    """Return a report as JSON. `file` is there only where there are several files."""
    compared = report.comparison
    return {
        "id": import_id,
        "rows": report.rows,
        "links": report.links,
        "grants": report.grants,
        "skipped": dict(report.skipped.most_common()),
        "same": compared.same,
        "gains": compared.gains,
        "loses": compared.loses,
        "differences": [_write_difference(one, files) for one in compared.differences],
    }


def _write_difference(found: AccessDifference, files: Sequence[str]) -> dict[str, Any]:
    written = {
        "line": found.line,
        "reader": found.reader,
        "before": found.before,
        "after": found.after,
        "reason": found.reason,
    }
    return {"file": files[found.file], **written} if len(files) > 1 else written


def describe_takeover(report: TakeoverReport, files: Sequence[str]) -> list[str]:
    """Return the report as lines for a terminal."""
    compared = report.comparison
    lines = [
        f"{report.form.title}: {', '.join(files)}",
        f"{report.rows:,} rows: {report.links:,} links, {report.grants:,} grants, {report.skipped.total():,} skipped",
        *(f"  skipped {count:,}: {REASONS[reason].text}" for reason, count in report.skipped.most_common()),
    ]
    if report.seats:
        lines.append(f"  {report.seats:,} who pay for a group get one of its seats")
    lines.append(
        f"Readers: {compared.same:,} as before, {compared.gains:,} gain access, {compared.loses:,} lose access"
    )
    if report.unread:
        lines.append(
            f"  of {report.unread:,} members who pay by Stripe nothing is known here: the export's word counts for them"
        )
    lines += describe_unmapped(report)
    for heading, after in (("Lose access", False), ("Gain access", True)):
        lines += _list_differences(heading, [one for one in compared.differences if one.after is after], files)
    return lines


def describe_unmapped(report: TakeoverReport) -> list[str]:
    """Return a line for each level that takeover.toml leaves out."""
    return [
        f"  level “{level}” has no line in takeover.toml: {count:,} {'row' if count == 1 else 'rows'} with access"
        for level, count in report.unmapped.items()
    ]


def _list_differences(heading: str, found: Sequence[AccessDifference], files: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for reason, count in Counter(one.reason for one in found).most_common():
        said = REASONS[reason]
        lines.append(f"{heading}, {count:,}: {said.text}. {said.advice}".rstrip())
        theirs = [one for one in found if one.reason == reason]
        lines += [f"  {_place(one, files)}: {one.reader or 'no reader'}" for one in theirs[:_LINES]]
        if count > _LINES:
            lines.append(f"  … and {count - _LINES:,} more; --html FILE and --json list all")
    return lines


def _place(found: AccessDifference, files: Sequence[str]) -> str:
    return f"{files[found.file]}, line {found.line}" if len(files) > 1 else f"line {found.line}"

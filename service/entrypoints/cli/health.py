"""`paywall doctor`, `paywall digest`: what is wrong with the set-up, and what needs attention from day to day."""

from __future__ import annotations

from typing import Any

import click

from service.entrypoints.cli import session
from service.entrypoints.cli.session import Invocation, Output
from service.entrypoints.responses.reporting import write_alerts

MARKS = {"good": "ok   ", "note": "note ", "wrong": "WRONG"}


@click.command()
@session.uses_service
def doctor(run: Invocation) -> Output:
    """Check the settings, the store and Stripe; exit with status 1 if action is required."""
    found = run.service.doctor.findings()
    encoded = [
        {"level": item.level, "subject": item.subject, "message": item.message, "guide": item.guide} for item in found
    ]
    wrong = any(item.level == "wrong" for item in found)
    lines = [
        f"{MARKS[item.level]}  {item.subject}: {item.message}{f' ({item.guide})' if item.guide else ''}"
        for item in found
    ]
    return Output({"ok": not wrong, "findings": encoded}, "\n".join(lines), status=1 if wrong else 0)


@click.command()
@click.option("--check", is_flag=True, help="Exit with status 1 if something needs attention.")
@session.uses_service
def digest(run: Invocation, check: bool) -> Output:
    """Write what needs attention and which grants expire soon, for cron and email.

    The exit status is 0, so that cron does not report a reminder as a failure. With --check it is 1 if something needs
    attention; grants that expire soon do not count.
    """
    found = write_alerts(run.service.alerts.current(run.now), run.now)
    return Output(found, as_text(found), status=1 if check and found["needs_hand"] else 0)


def as_text(found: dict[str, Any]) -> str:
    """Return the digest as plain text: what needs attention first, then what expires soon."""
    alerts = [item for item in found["items"] if item["needs_hand"]]
    soon = [item for item in found["items"] if item["count"] and not item["needs_hand"]]
    lines = [f"Paywall status at {found['at']}", "", "Needs attention" if alerts else "All clear"]
    lines += [line for item in alerts for line in _lines(item)]
    if soon:
        lines += ["", "Soon", *(line for item in soon for line in _lines(item))]
    return "\n".join(lines)


def _lines(item: dict[str, Any]) -> list[str]:
    shown = [_example(example) for example in item["examples"]]
    more = item["count"] - len(shown)
    rest = [f"      and {more} more"] if shown and more > 0 else []
    return [f"  {item['count']} {item['title']}", f"    {item['advice']} ({item['where']})", *shown, *rest]


def _example(example: dict[str, Any]) -> str:
    parts = [example["id"], example["reader"] and f"reader {example['reader']}", example["at"], example["text"]]
    return "      - " + ", ".join(part for part in parts if part)

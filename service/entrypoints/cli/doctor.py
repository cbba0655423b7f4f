"""`paywall doctor`: check the set-up of the service and of Stripe."""

from __future__ import annotations

import click

from service.entrypoints.cli import context as session
from service.entrypoints.cli.context import Output

MARKS = {"good": "ok   ", "note": "note ", "wrong": "WRONG"}


@click.command()
@session.prints
def doctor() -> Output:
    """Check the settings, the store and Stripe; exit with status 1 if action is required."""
    service = session.open_service()
    found = service.doctor.findings()
    encoded = [{"level": item.level, "subject": item.subject, "message": item.message} for item in found]
    wrong = any(item.level == "wrong" for item in found)
    lines = [f"{MARKS[item.level]}  {item.subject}: {item.message}" for item in found]
    return Output({"ok": not wrong, "findings": encoded}, "\n".join(lines), status=1 if wrong else 0)

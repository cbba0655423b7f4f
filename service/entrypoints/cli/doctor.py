"""`paywall doctor`: check the set-up of the service and of Stripe."""

from __future__ import annotations

import sys

import click

from service.entrypoints.cli import context as session

MARKS = {"good": "ok   ", "note": "note ", "wrong": "WRONG"}


def add_to(main: click.Group) -> None:
    """Add the command."""
    main.add_command(doctor)


@click.command()
@session.json_option
def doctor(as_json: bool) -> None:
    """Check the settings, the store and Stripe; exit with status 1 if action is required."""
    with session.service() as service:
        found = service.doctor.findings()
    encoded = [{"level": item.level, "subject": item.subject, "message": item.message} for item in found]
    wrong = any(item.level == "wrong" for item in found)
    lines = [f"{MARKS[item.level]}  {item.subject}: {item.message}" for item in found]
    session.show({"ok": not wrong, "findings": encoded}, as_json, lambda: "\n".join(lines))
    sys.exit(1 if wrong else 0)

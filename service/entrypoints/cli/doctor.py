"""`paywall doctor`: is everything set up as it should be, here and at Stripe?"""

from __future__ import annotations

import sys

import click

from service.entrypoints.cli import context as session
from service.use_cases.operations import doctor as checkup

MARKS = {"good": "ok   ", "note": "note ", "wrong": "WRONG"}


def add_to(main: click.Group) -> None:
    """Adds the command."""
    main.add_command(doctor)


@click.command()
@session.json_option
@session.refusals
def doctor(as_json: bool) -> None:
    """Look at the store, the keys and Stripe; exit 1 when something needs a hand."""
    with session.service() as service:
        found = checkup.findings(service)
    told = [{"level": item.level, "subject": item.subject, "message": item.message} for item in found]
    wrong = any(item.level == "wrong" for item in found)
    lines = [f"{MARKS[item.level]}  {item.subject}: {item.message}" for item in found]
    session.show({"ok": not wrong, "findings": told}, as_json, lambda: "\n".join(lines))
    sys.exit(1 if wrong else 0)

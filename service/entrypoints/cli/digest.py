"""`paywall digest`: what needs attention and which grants expire soon, for cron and email."""

from __future__ import annotations

from typing import Any

import click

from service.entrypoints.cli import context as session
from service.entrypoints.cli.context import Output
from service.entrypoints.responses.reporting import write_alerts


@click.command()
@click.option("--check", is_flag=True, help="Exit with status 1 if something needs attention.")
@session.prints
def digest(check: bool) -> Output:
    """Write what needs attention and which grants expire soon, for cron and email.

    The exit status is 0, so that cron does not report a reminder as a failure. With --check it is 1 if something needs
    attention; grants that expire soon do not count.
    """
    service = session.open_service()
    now = service.clock()
    found = write_alerts(service.alerts.current(now), now)
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
    return [f"  {item['count']} {item['title']}", f"    {item['mend']} ({item['where']})", *shown, *rest]


def _example(example: dict[str, Any]) -> str:
    parts = [example["id"], example["reader"] and f"reader {example['reader']}", example["at"], example["text"]]
    return "      - " + ", ".join(part for part in parts if part)

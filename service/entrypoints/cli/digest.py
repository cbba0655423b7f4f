"""`paywall digest`: what needs a hand and what ends soon, for cron and mail."""

from __future__ import annotations

import sys
from typing import Any

import click

from service.entrypoints.cli import context as session
from service.entrypoints.http.api.reporting import attention
from service.entrypoints.responses.labels import HANDS


def add_to(main: click.Group) -> None:
    """Adds this command."""
    main.add_command(digest)


@click.command()
@click.option("--check", is_flag=True, help="Exit with status 1 if something needs a hand.")
@session.json_option
@session.refusals
def digest(check: bool, as_json: bool) -> None:
    """Write what needs a hand and what ends soon, for cron and mail.

    The exit status is 0 when it was written, whatever it says: cron would else call a quiet reminder a failure. With
    --check it is 1 if something needs a hand; grants that end soon do not.
    """
    with session.service() as service:
        told = attention(service.attention, service.clock())
        session.show(told, as_json, lambda: as_text(told))
    if check and told["needs_hand"]:
        sys.exit(1)


def as_text(told: dict[str, Any]) -> str:
    """The digest for people: what needs a hand first, then what ends soon."""
    lines = [f"The paywall at {told['at']}"]
    hand = [item for item in told["items"] if item["needs_hand"]]
    soon = [item for item in told["items"] if item["count"] and not item["needs_hand"]]
    lines += ["", "Nothing needs a hand."] if not hand else ["", "Needs a hand"]
    lines += [line for item in hand for line in _lines(item)]
    if soon:
        lines += ["", "Soon", *(line for item in soon for line in _lines(item))]
    return "\n".join(lines)


def _lines(item: dict[str, Any]) -> list[str]:
    shown = [_example(example) for example in item["examples"]]
    more = item["count"] - len(shown)
    rest = [f"      and {more} more"] if shown and more > 0 else []
    title = HANDS.get(item["kind"], (item["title"], item["title"]))[item["count"] != 1]
    return [f"  {item['count']} {title}", f"    {item['mend']} ({item['where']})", *shown, *rest]


def _example(example: dict[str, Any]) -> str:
    parts = [example["id"], example["reader"] and f"reader {example['reader']}", example["at"], example["text"]]
    return "      - " + ", ".join(part for part in parts if part)

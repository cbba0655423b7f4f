"""`paywall events …`: what Stripe sent, and replays."""

from __future__ import annotations

from typing import Any

import click

from service.adapters.observability.logs import log
from service.domain.errors import StoreUnavailable
from service.entrypoints.cli import context as session
from service.entrypoints.responses.lists import EVENTS, list_events
from service.entrypoints.responses.stripe_objects import EventOut


def add_to(main: click.Group) -> None:
    """Add `paywall events`."""
    main.add_command(events)


@click.group()
def events() -> None:
    """Look at Stripe's events, and replay them."""


@events.command("list")
@session.limit_option
@session.after_option
@click.option("--dead", is_flag=True, help="Only those that were given up.")
@session.json_option
def list_all(limit: int, after: str | None, dead: bool, as_json: bool) -> None:
    """List Stripe's events, the newest first."""
    page = session.read_list_page(EVENTS, limit, after=after, state="dead" if dead else None)
    with session.service() as service:
        session.show_list(list_events(service.event_processor.ledger, page), as_json, _line, "No events.")


def _line(event: dict[str, Any]) -> str:
    return f"{event['received_at']}  {event['state']:8}{event['id']}  {event['type']}  {event['object'] or ''}"


@events.command("show")
@click.argument("event", metavar="ID", type=session.ANY_ID)
@session.json_option
def show(event: str, as_json: bool) -> None:
    """Show one event, with the entitlements that it changed."""
    with session.service() as service:
        found = EventOut.write(service.subscription_admin.find_event(event))
        session.show(found, as_json, lambda: "\n".join(f"{name}: {value}" for name, value in found.items()))


@events.command("replay")
@click.argument("event", metavar="ID", type=session.ANY_ID)
@session.json_option
def replay(event: str, as_json: bool) -> None:
    """Put an event back into the inbox, and process it."""
    with session.service() as service:
        now = service.clock()
        service.subscription_admin.replay_event(event, session.actor(), now)
        try:
            service.event_processor.finish_postponed(now)
        except StoreUnavailable:
            log().warning("left_to_the_worker")
        found = EventOut.write(service.subscription_admin.find_event(event))
        session.show(found, as_json, lambda: f"Replayed {event}: {found['state']}")

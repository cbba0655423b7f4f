"""`paywall events …`: what Stripe sent, and replays."""

from __future__ import annotations

from typing import Any

import click

from service.adapters.observability.logs import log
from service.domain.errors import StoreUnavailable
from service.entrypoints.cli import session
from service.entrypoints.cli.session import Invocation, Output
from service.entrypoints.responses.lists import EVENTS
from service.entrypoints.responses.stripe_objects import EventOut


@click.group()
def events() -> None:
    """Look at Stripe's events, and replay them."""


@events.command("list")
@session.limit_option
@session.after_option
@click.option("--dead", is_flag=True, help="Only those that failed after ten attempts.")
@session.uses_service
def list_all(run: Invocation, limit: int, after: str | None, dead: bool) -> Output:
    """List Stripe's events, the newest first."""
    page = session.read_list_page(EVENTS, limit, after=after, state="dead" if dead else None)
    return session.list_output(EVENTS.load(run.service, page), _line, "No events.")


def _line(event: dict[str, Any]) -> str:
    return f"{event['received_at']}  {event['state']:8}{event['id']}  {event['type']}  {event['object'] or ''}"


@events.command("show")
@click.argument("event", metavar="ID", type=session.ANY_ID)
@session.uses_service
def show(run: Invocation, event: str) -> Output:
    """Show one event, with the entitlements that it changed."""
    found = EventOut.write(run.service.subscription_admin.find_event(event))
    return Output(found, "\n".join(f"{name}: {session.in_words(value)}" for name, value in found.items()))


@events.command("replay")
@click.argument("event", metavar="ID", type=session.ANY_ID)
@session.uses_service
def replay(run: Invocation, event: str) -> Output:
    """Put an event back into the inbox, and process it."""
    run.service.subscription_admin.replay_event(event, run.actor, run.now)
    try:
        run.service.event_processor.finish_postponed(run.now)
    except StoreUnavailable:
        log().warning("left_to_the_worker")
    found = EventOut.write(run.service.subscription_admin.find_event(event))
    return Output(found, f"Replayed {event}: {found['state']}")

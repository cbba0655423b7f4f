"""`paywall seats …`: the seats of group plans."""

from __future__ import annotations

import click

from service.entrypoints.cli import context as session
from service.entrypoints.responses.stripe_objects import GroupOut
from service.use_cases.subscriptions.subscription_admin import SeatGroup


def add_to(main: click.Group) -> None:
    """Add `paywall seats`."""
    main.add_command(seats)


@click.group()
def seats() -> None:
    """The seats of a group's subscription: list, give, take back."""


@seats.command("list")
@click.argument("subscription", type=session.ANY_ID)
@session.json_option
def show(subscription: str, as_json: bool) -> None:
    """List who has a seat, since when, and who lost one when fewer were paid for."""
    with session.service() as service:
        _show(service.subscription_admin.load_seats(subscription, service.clock()), as_json)


@seats.command("give")
@click.argument("subscription", type=session.ANY_ID)
@click.argument("reader", type=session.READER_ID)
@session.json_option
def assign(subscription: str, reader: str, as_json: bool) -> None:
    """Give READER a seat; given again, nothing changes."""
    with session.service() as service:
        _show(service.subscription_admin.assign_seat(subscription, reader, session.actor(), service.clock()), as_json)


@seats.command("take")
@click.argument("subscription", type=session.ANY_ID)
@click.argument("reader", type=session.READER_ID)
@session.reason_option
@session.json_option
def remove(subscription: str, reader: str, reason: str | None, as_json: bool) -> None:
    """Take READER's seat back; taken again, nothing changes."""
    with session.service() as service:
        admin, now = service.subscription_admin, service.clock()
        _show(admin.release_seat(subscription, reader, session.actor(), now, reason=reason), as_json)


def _show(group: SeatGroup, as_json: bool) -> None:
    found = GroupOut.write(group)
    lines = [f"{found['subscription']}: {found['used']} of {found['quantity']} seats given"]
    lines += [f"  {seat['reader']} since {seat['since']}" for seat in found["seats"]]
    lines += [f"  {seat['reader']} lost the seat given at {seat['since']}" for seat in found["removed"]]
    session.show(found, as_json, lambda: "\n".join(lines))

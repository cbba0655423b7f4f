"""`paywall seats …`: the seats of group plans."""

from __future__ import annotations

import click

from service.entrypoints.cli import session
from service.entrypoints.cli.session import Invocation, Output
from service.entrypoints.responses.groups import GroupOut
from service.use_cases.subscriptions.subscription_admin import SeatGroup


@click.group()
def seats() -> None:
    """The seats of a group's subscription: list, assign and remove them."""


@seats.command("list")
@click.argument("subscription", type=session.ANY_ID)
@session.uses_service
def show(run: Invocation, subscription: str) -> Output:
    """List who has a seat, since when, and who lost one when fewer were paid for."""
    return _output(run.service.subscription_admin.load_seats(subscription, run.now))


@seats.command("give")
@click.argument("subscription", type=session.ANY_ID)
@click.argument("reader", type=session.READER_ID)
@session.uses_service
def assign(run: Invocation, subscription: str, reader: str) -> Output:
    """Assign a seat to READER. If READER has one, nothing changes."""
    return _output(run.service.subscription_admin.assign_seat(subscription, reader, run.actor, run.now))


@seats.command("take")
@click.argument("subscription", type=session.ANY_ID)
@click.argument("reader", type=session.READER_ID)
@session.reason_option
@session.uses_service
@session.confirms("Remove the seat of {reader}? The reader can lose access at once.")
def remove(run: Invocation, subscription: str, reader: str, reason: str | None) -> Output:
    """Remove READER's seat. If READER has none, nothing changes."""
    admin = run.service.subscription_admin
    return _output(admin.release_seat(subscription, reader, run.actor, run.now, reason=reason))


def _output(group: SeatGroup) -> Output:
    found = GroupOut.write(group)
    lines = [f"{found['subscription']}: {found['used']} of {found['quantity']} seats assigned"]
    lines += [f"  {seat['reader']} since {seat['since']}" for seat in found["seats"]]
    lines += [f"  {seat['reader']} lost the seat of {seat['since']}" for seat in found["removed"]]
    return Output(found, "\n".join(lines))

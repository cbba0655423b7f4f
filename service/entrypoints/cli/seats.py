"""`paywall readers link|merge`, `paywall seats …`: whose things are, from the command line."""

from __future__ import annotations

from typing import Any

import click

from service.domain import ids
from service.entrypoints.cli import context as session
from service.entrypoints.http.api import links_and_seats as belonging
from service.entrypoints.http.errors import invalid

reason_option = click.option("--reason", help="Why; it stands in the audit log.")


def add_to_readers(readers: click.Group) -> None:
    """Adds these commands to `paywall readers`."""
    readers.add_command(link)
    readers.add_command(merge)


def add_to(main: click.Group) -> None:
    """Adds `paywall seats`."""
    main.add_command(seats)


def _reason(text: str | None) -> str | None:
    try:
        return None if text is None else ids.read_reason(text)
    except ValueError as error:
        raise invalid([("reason", str(error))]) from None


@click.command()
@click.argument("reader", type=session.ReaderId())
@click.option("--customer", type=session.AnyId(), help="A customer of Stripe's, with all that is the customer's.")
@click.option("--subscription", type=session.AnyId(), help="A single subscription.")
@reason_option
@session.json_option
@session.refusals
def link(reader: str, customer: str | None, subscription: str | None, reason: str | None, as_json: bool) -> None:
    """Say that a customer or a subscription of Stripe's is this reader's, above all metadata."""
    if (customer is None) == (subscription is None):
        raise click.UsageError("Give either --customer or --subscription.")
    why = _reason(reason)
    with session.service() as service:
        admin, now = service.stripe_admin, service.clock()
        told = belonging.linked(admin, reader, customer, subscription, why, session.actor(), now)
        was = f"; it was {told['was']}'s" if told["was"] not in (None, reader) else ""
        session.show(told, as_json, lambda: f"{customer or subscription} is {reader}'s now{was}.")


@click.command()
@click.argument("reader", type=session.ReaderId())
@click.option("--from", "gone", required=True, type=session.ReaderId(), help="The reader that goes.")
@reason_option
@session.json_option
@session.refusals
def merge(reader: str, gone: str, reason: str | None, as_json: bool) -> None:
    """Make another reader one with READER: what was the other's is READER's. It cannot be undone."""
    why = _reason(reason)
    with session.service() as service:
        told = belonging.merged(service.stripe_admin, reader, gone, why, session.actor(), service.clock())
        session.show(told, as_json, lambda: f"{gone} is answered as {reader} everywhere now.")


@click.group()
def seats() -> None:
    """The seats of a group's subscription: list, give, take back."""


@seats.command("list")
@click.argument("subscription", type=session.AnyId())
@session.json_option
@session.refusals
def show(subscription: str, as_json: bool) -> None:
    """List who has a seat, since when, and who lost one when fewer were paid for."""
    with session.service() as service:
        told = belonging.seats(lambda: service.stripe_admin.group(subscription, service.clock()))
        session.show(told, as_json, lambda: _group(told))


@seats.command("give")
@click.argument("subscription", type=session.AnyId())
@click.argument("reader", type=session.ReaderId())
@session.json_option
@session.refusals
def give(subscription: str, reader: str, as_json: bool) -> None:
    """Give READER a seat; given again, nothing changes."""
    with session.service() as service:
        admin, now = service.stripe_admin, service.clock()
        told = belonging.seats(lambda: admin.give_seat(subscription, reader, session.actor(), now))
        session.show(told, as_json, lambda: _group(told))


@seats.command("take")
@click.argument("subscription", type=session.AnyId())
@click.argument("reader", type=session.ReaderId())
@reason_option
@session.json_option
@session.refusals
def take(subscription: str, reader: str, reason: str | None, as_json: bool) -> None:
    """Take READER's seat back; taken again, nothing changes."""
    why = _reason(reason)
    with session.service() as service:
        admin, now = service.stripe_admin, service.clock()
        told = belonging.seats(lambda: admin.take_seat(subscription, reader, session.actor(), now, reason=why))
        session.show(told, as_json, lambda: _group(told))


def _group(told: dict[str, Any]) -> str:
    lines = [f"{told['subscription']}: {told['used']} of {told['quantity']} seats given"]
    lines += [f"  {seat['reader']} since {seat['since']}" for seat in told["seats"]]
    lines += [f"  {seat['reader']} lost the seat given at {seat['since']}" for seat in told["removed"]]
    return "\n".join(lines)

"""`paywall grants …`: access that admins give, from the command line."""

from __future__ import annotations

from typing import Any

import click

from service.adapters.redis.staff.approvals import Approval
from service.domain import ids
from service.domain.errors import RevokedGrant, UnknownGrant
from service.domain.sources import Grant
from service.entrypoints.cli import context as session
from service.entrypoints.cli import grant_imports as importing
from service.entrypoints.http.api import approvals
from service.entrypoints.http.api.grants import wanted_of
from service.entrypoints.http.errors import invalid
from service.entrypoints.responses import encoder as encode
from service.use_cases.grants.manage import WrongEnd

reader_option = click.option("--reader", required=True, type=session.ReaderId(), help="The reader's id.")
reason_option = click.option("--reason", required=True, help="Why; it stands in the audit log.")


def add_to(main: click.Group) -> None:
    """Adds these commands."""
    importing.add_to(grants)
    main.add_command(grants)


@click.group()
def grants() -> None:
    """Give VIP access, list it, take it back."""


def _reason(text: str) -> str:
    try:
        return ids.read_reason(text)
    except ValueError as error:
        raise invalid([("reason", str(error))]) from None


@grants.command("add")
@reader_option
@click.option("--plan", type=session.AnyId(), help="The plan to grant.")
@click.option("--feature", "features", multiple=True, type=session.AnyId(), help="A single feature; may be repeated.")
@reason_option
@click.option("--until", type=session.Moment(), help="The end, like 2027-01-01T00:00:00Z.")
@click.option("--no-end", is_flag=True, help="Grant it without an end.")
@click.option("--from", "start", type=session.Moment(), help="The start; now if it is not given.")
@session.json_option
@session.refusals
def add(
    reader: str,
    plan: str | None,
    features: tuple[str, ...],
    reason: str,
    until: float | None,
    no_end: bool,
    start: float | None,
    as_json: bool,
) -> None:
    """Give a reader a plan or single features, with a reason and an end."""
    if (until is None) != no_end:
        raise click.UsageError("Give either --until or --no-end.")
    if (plan is None) == (not features):
        raise click.UsageError("Give either --plan or --feature.")
    data = {"plan": plan, "features": list(features), "reason": _reason(reason), "from_": start, "until": until}
    with session.service() as service:
        now = service.clock()
        wanted = wanted_of(data, service.settings.catalogue, now)
        _show(service.giving.give(reader, wanted, session.actor(), now), "Granted", reader, now, as_json)


@grants.command("change")
@reader_option
@reason_option
@click.option("--until", type=session.Moment(), help="The new end, like 2027-01-01T00:00:00Z.")
@click.option("--no-end", is_flag=True, help="Let it go on without an end.")
@click.argument("grant_id", metavar="ID")
@session.json_option
@session.refusals
def change(reader: str, reason: str, until: float | None, no_end: bool, grant_id: str, as_json: bool) -> None:
    """Give a grant another end: extend it or shorten it."""
    if (until is None) != no_end:
        raise click.UsageError("Give either --until or --no-end.")
    why, end = _reason(reason), None if until is None else int(until)
    with session.service() as service:
        now = service.clock()
        try:
            changed = service.giving.change(reader, grant_id, end, why, session.actor(), now)
        except UnknownGrant:
            session.fail(f"{reader} has no grant {grant_id}.")
        except RevokedGrant:
            session.fail(f"{grant_id} was revoked, and stays so; give a new one.")
        except WrongEnd as error:
            raise invalid(error.mistakes) from None
        _show(changed, "Changed", reader, now, as_json)


def _show(given: Grant | Approval, verb: str, reader: str, now: float, as_json: bool) -> None:
    if isinstance(given, Approval):
        waits = approvals.told_of(given)
        hint = f"paywall approvals confirm {given.id}"
        session.show(
            waits, as_json, lambda: f"{given.id} waits for a second admin, until {waits['expires_at']}: {hint}"
        )
        return
    told = encode.grant(given, reader, now)
    session.show(told, as_json, lambda: f"{verb} {given.id}: {_line(told)}")


@grants.command("list")
@reader_option
@session.json_option
@session.refusals
def show(reader: str, as_json: bool) -> None:
    """List a reader's grants, the newest first."""
    with session.service() as service:
        now = service.clock()
        found = [
            encode.grant(grant, reader, now)
            for grant in service.grants.list_for_reader(service.readers.resolve_merged(reader))
        ]
        lines = [f"{told['id']}  {_line(told)}  ({told['actor']}: {told['reason']})" for told in found]
        session.show({"items": found}, as_json, lambda: "\n".join(lines) or "No grants.")


@grants.command("revoke")
@reader_option
@reason_option
@click.argument("grant_id", metavar="ID")
@session.json_option
@session.refusals
def revoke(reader: str, reason: str, grant_id: str, as_json: bool) -> None:
    """Take a grant back, at once."""
    why = _reason(reason)
    with session.service() as service:
        now = service.clock()
        try:
            taken = service.grants.revoke(service.readers.resolve_merged(reader), grant_id, why, session.actor(), now)
        except UnknownGrant:
            session.fail(f"{reader} has no grant {grant_id}.")
        told = encode.grant(taken, reader, now)
        session.show(told, as_json, lambda: f"Revoked {taken.id}: {_line(told)}")


def _line(told: dict[str, Any]) -> str:
    what = told["plan"] or ", ".join(told["features"])
    return f"{what} for {told['reader']}, {told['status']}, from {told['from']} until {told['until'] or 'no end'}"

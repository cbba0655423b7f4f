"""`paywall readers export|erase`: a reader's rights, from the command line."""

from __future__ import annotations

from dataclasses import replace

import click
import orjson

from service.domain import ids
from service.entrypoints.cli import context as session
from service.entrypoints.http.api.privacy import erased, told_of
from service.entrypoints.http.errors import invalid


def add_to(readers: click.Group) -> None:
    """Adds these commands to `paywall readers`."""
    readers.add_command(export)
    readers.add_command(erase)


@click.command()
@click.argument("reader", type=session.ReaderId())
@session.json_option
@session.refusals
def export(reader: str, as_json: bool) -> None:
    """Print everything that is kept of a reader, as JSON."""
    with session.service() as service:
        told = service.export.of(reader, service.clock())
        session.show(told, as_json, lambda: orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())


@click.command()
@click.argument("reader", type=session.ReaderId())
@click.option("--reason", required=True, help="Why; it stands in the audit log, without the id.")
@click.option("--force", is_flag=True, help="Also while somebody pays for this reader.")
@session.json_option
@session.refusals
def erase(reader: str, reason: str, force: bool, as_json: bool) -> None:
    """Erase a reader everywhere; a hash of the id stays, so that Stripe does not bring her back."""
    try:
        why = ids.read_reason(reason)
    except ValueError as error:
        raise invalid([("reason", str(error))]) from None
    with session.service() as service:
        done = erased(service.erasure, reader, why, session.actor(), service.clock(), force)
        if done.files_rewritten:  # A store of this command's own ends with it.
            done = replace(done, files_rewritten=service.erasure.await_files(_PATIENCE))
        told = told_of(done)
        counts = ", ".join(f"{name} {count}" for name, count in done.counts.items())
        session.show(told, as_json, lambda: f"Erased: {counts}.{'' if done.files_rewritten else _BY_HAND}")


_PATIENCE = 300.0
"""Seconds for the store to write its files anew; a large one takes minutes."""
_BY_HAND = (
    "\nThe store's files still hold what was: have it write them anew (BGREWRITEAOF), and let go of old snapshots."
)

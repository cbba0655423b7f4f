"""`paywall readers …`: what a reader holds; links, merges; export and erasure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click
import orjson

from service.entrypoints.cli import context as session
from service.entrypoints.responses.readers import ErasedOut, ReaderOut, write_reader_export

_PATIENCE = 300.0
"""Seconds for the store to rewrite its files, which takes minutes for a large one."""
_BY_HAND = (
    "\nThe store's files still hold the erased data: have it rewrite them (BGREWRITEAOF), and delete old snapshots."
)


def add_to(main: click.Group) -> None:
    """Add `paywall readers`."""
    main.add_command(readers)


@click.group()
def readers() -> None:
    """Look at readers, link what is theirs, merge two, export or erase one."""


@readers.command("show")
@click.argument("reader", type=session.READER_ID)
@click.option("--at", type=session.MOMENT, help="Another moment, past or future.")
@session.json_option
def show(reader: str, at: float | None, as_json: bool) -> None:
    """Show what a reader holds, from what, and until when."""
    with session.service() as service:
        found = ReaderOut.write(service.profiles.load_profile(reader, at, service.clock()))
        session.show(found, as_json, lambda: _profile(found))


def _profile(found: dict[str, Any]) -> str:
    lines = [f"{found['reader']}: {'has access' if found['access'] else 'has no access'}"]
    lines += [f"  {f['feature']} until {f['until'] or 'no end'} ({f['source']})" for f in found["features"]]
    lines += [
        f"  {s['type']} {s['id']}: {s['plan'] or '-'}, {s['status']}, {s['standing']}, until {s['until'] or 'no end'}"
        for s in found["sources"]
    ]
    lines += [f"  {m['name']}: {m['used']} of {m['limit']} used" for m in found["meters"]]
    return "\n".join(lines)


@readers.command("link")
@click.argument("reader", type=session.READER_ID)
@click.option("--customer", type=session.ANY_ID, help="A customer of Stripe's, with everything that the customer owns.")
@click.option("--subscription", type=session.ANY_ID, help="A single subscription.")
@session.reason_option
@session.json_option
def link(reader: str, customer: str | None, subscription: str | None, reason: str | None, as_json: bool) -> None:
    """Link a customer or a subscription of Stripe's to this reader, above all metadata."""
    if (customer is None) == (subscription is None):
        raise click.UsageError("Give either --customer or --subscription.")
    target = {"customer": customer} if customer is not None else {"subscription": subscription}
    with session.service() as service:
        linked = service.subscription_admin.link_to_reader(
            reader, **target, actor=session.actor(), now=service.clock(), reason=reason
        )
        was = f"; it was {linked.was}'s" if linked.was not in (None, reader) else ""
        text = f"{customer or subscription} is {reader}'s now{was}."
        session.show({"reader": reader, **target, "was": linked.was}, as_json, lambda: text)


@readers.command("merge")
@click.argument("reader", type=session.READER_ID)
@click.option("--from", "gone", required=True, type=session.READER_ID, help="The reader that goes.")
@session.reason_option
@session.json_option
def merge(reader: str, gone: str, reason: str | None, as_json: bool) -> None:
    """Merge another reader into READER: what was the other's is READER's. It cannot be undone."""
    with session.service() as service:
        service.subscription_admin.merge_readers(reader, gone, session.actor(), service.clock(), reason=reason)
        session.show(
            {"reader": reader, "from": gone}, as_json, lambda: f"{gone} is answered as {reader} everywhere now."
        )


@readers.command("export")
@click.argument("reader", type=session.READER_ID)
@session.json_option
def export(reader: str, as_json: bool) -> None:
    """Print everything that is kept of a reader, as JSON."""
    with session.service() as service:
        found = write_reader_export(service.export.collect(reader, service.clock()))
        session.show(found, as_json, lambda: orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())


@readers.command("erase")
@click.argument("reader", type=session.READER_ID)
@click.option("--reason", required=True, type=session.REASON, help="Why; it stands in the audit log, without the id.")
@click.option("--force", is_flag=True, help="Also while a subscription pays for this reader.")
@session.json_option
def erase(reader: str, reason: str, force: bool, as_json: bool) -> None:
    """Erase a reader everywhere; a hash of the id stays, so that Stripe does not bring them back."""
    with session.service() as service:
        done = service.erasure.erase(reader, reason, session.actor(), service.clock(), force=force)
        if done.files_rewritten:  # A store of this command's own ends with it.
            done = replace(done, files_rewritten=service.erasure.wait_for_file_rewrite(_PATIENCE))
        counts = ", ".join(f"{name} {count}" for name, count in done.counts.items())
        text = f"Erased: {counts}.{'' if done.files_rewritten else _BY_HAND}"
        session.show(ErasedOut.write(done), as_json, lambda: text)

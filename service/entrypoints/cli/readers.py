"""`paywall readers …`: the list of readers; what a reader holds; links, merges; export and erasure."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import click
import orjson

from service.entrypoints.cli import session
from service.entrypoints.cli.session import Invocation, Output
from service.entrypoints.responses.lists import READERS
from service.entrypoints.responses.readers import ErasedOut, ReaderOut, write_reader_export

_PATIENCE = 300.0
"""Seconds for the store to rewrite its files, which takes minutes for a large one."""
_FILES_TO_REWRITE = (
    "\nThe store's files still hold the erased data: have it rewrite them (BGREWRITEAOF), and delete old snapshots."
)


@click.command()
@session.uses_service
def reindex(run: Invocation) -> Output:
    """Build the lists of readers and grants anew from the readers' records, beside a running service."""
    updates = run.service.reader_lists.updates
    done = updates.rebuild()
    text = f"The lists have {done.readers} readers."
    if done.unnamed:
        text += (
            f"\n{done.unnamed} readers are in no list: an earlier release imported their grants without their ids. "
            "Import their file again, then run paywall reindex."
        )
    return Output({"readers": done.readers, "unnamed": done.unnamed}, text)


@click.group()
def readers() -> None:
    """List readers, look at one, link what is theirs, merge two, export or erase one."""


@readers.command("list")
@session.filter_options(READERS)
@session.limit_option
@session.after_option
@session.uses_service
def list_readers(run: Invocation, limit: int, **given: str | float | None) -> Output:
    """List the readers who have or had a source, by id."""
    page = session.read_list_page(READERS, limit, **given)
    run.service.reader_lists.prepare()
    return session.list_output(READERS.load(run.service, page), _line, "No readers.")


def _line(found: dict[str, Any]) -> str:
    plans, sources = ", ".join(found["plans"]) or "-", ", ".join(found["sources"])
    access = "has access" if found["access"] else "no access"
    return f"{found['reader']}: {access}, {plans} ({sources}), {found['standing']}, until {found['until'] or 'no end'}"


@readers.command("show")
@click.argument("reader", type=session.READER_ID)
@click.option("--at", type=session.MOMENT, help="Another moment, past or future.")
@session.uses_service
def show(run: Invocation, reader: str, at: float | None) -> Output:
    """Show what a reader holds, from what, and until when."""
    found = ReaderOut.write(run.service.profiles.load_profile(reader, at, run.now))
    return Output(found, _profile(found))


def _profile(found: dict[str, Any]) -> str:
    lines = [f"{found['reader']}: {'has access' if found['access'] else 'has no access'}"]
    lines += [f"  {f['feature']} until {f['until'] or 'no end'} ({f['source']})" for f in found["features"]]
    lines += [
        f"  {s['type']} {s['id']}: {s['plan'] or '-'}, {s['status']}, {s['standing']}, until {s['until'] or 'no end'}"
        for s in found["sources"]
    ]
    for meter in found["meters"]:
        by_plan = f" (limit of the plan {meter['plan']})" if meter["plan"] else ""
        lines.append(f"  {meter['name']}: {meter['used']} of {meter['limit']} used{by_plan}")
    return "\n".join(lines)


@readers.command("link")
@click.argument("reader", type=session.READER_ID)
@click.option("--customer", type=session.CUSTOMER_ID, help="A Stripe customer (cus_…), with everything that they own.")
@click.option("--subscription", type=session.SUBSCRIPTION_ID, help="A single subscription (sub_…).")
@click.option("--force", is_flag=True, help="Also if Stripe does not know the ID.")
@session.reason_option
@session.uses_service
def link(
    run: Invocation, reader: str, customer: str | None, subscription: str | None, force: bool, reason: str | None
) -> Output:
    """Link a Stripe customer or subscription to this reader. This overrides all metadata."""
    target = _one_of(customer, subscription)
    linked = run.service.subscription_admin.link_to_reader(
        reader, **target, actor=run.actor, now=run.now, reason=reason, force=force
    )
    was = f"; it was {linked.was}'s" if linked.was not in (None, reader) else ""
    text = f"{customer or subscription} is {reader}'s now{was}."
    return Output({"reader": reader, **target, "was": linked.was}, text)


@readers.command("unlink")
@click.argument("reader", type=session.READER_ID)
@click.option("--customer", type=session.CUSTOMER_ID, help="The Stripe customer that is linked (cus_…).")
@click.option("--subscription", type=session.SUBSCRIPTION_ID, help="The subscription that is linked (sub_…).")
@session.reason_option
@session.uses_service
@session.confirms("Remove the link to {reader}? The reader can lose access at once.")
def unlink(run: Invocation, reader: str, customer: str | None, subscription: str | None, reason: str | None) -> Output:
    """Remove a link to READER; then the owner is as if there had never been a link."""
    target = _one_of(customer, subscription)
    run.service.subscription_admin.unlink_from_reader(reader, **target, actor=run.actor, now=run.now, reason=reason)
    return Output({"reader": reader, **target}, f"{customer or subscription} is no longer linked to {reader}.")


def _one_of(customer: str | None, subscription: str | None) -> dict[str, str]:
    if customer is not None and subscription is None:
        return {"customer": customer}
    if subscription is not None and customer is None:
        return {"subscription": subscription}
    raise click.UsageError("Give either --customer or --subscription.")


@readers.command("merge")
@click.argument("reader", type=session.READER_ID)
@click.option("--from", "gone", required=True, type=session.READER_ID, help="The reader to merge into READER.")
@session.reason_option
@session.uses_service
@session.confirms("Merge {gone} into {reader}? You cannot undo this.")
def merge(run: Invocation, reader: str, gone: str, reason: str | None) -> Output:
    """Merge another reader into READER: what was the other's is READER's. It cannot be undone."""
    run.service.subscription_admin.merge_readers(reader, gone, run.actor, run.now, reason=reason)
    return Output({"reader": reader, "from": gone}, f"Readers merged. Both IDs now lead to {reader}.")


@readers.command("export")
@click.argument("reader", type=session.READER_ID)
@session.uses_service
def export(run: Invocation, reader: str) -> Output:
    """Print everything that is kept of a reader, as JSON."""
    found = write_reader_export(run.service.export.collect(reader, run.now))
    return Output(found, as_json(found))


def as_json(found: dict[str, Any]) -> str:
    """Return JSON without the control characters that a terminal's escape (`\\x7f`) would make invalid."""
    written = orjson.dumps(found, option=orjson.OPT_INDENT_2).decode()
    return re.sub("[\x7f-\x9f]", lambda one: f"\\u{ord(one[0]):04x}", written)


@readers.command("erase")
@click.argument("reader", type=session.READER_ID)
@click.option("--reason", required=True, type=session.REASON, help="Why; it stands in the audit log, without the id.")
@click.option("--force", is_flag=True, help="Also while a subscription pays for this reader.")
@session.uses_service
@session.confirms("Erase {reader}? You cannot undo this.")
def erase(run: Invocation, reader: str, reason: str, force: bool) -> Output:
    """Erase a reader everywhere; a hash of the id stays, so that Stripe does not bring them back."""
    done = run.service.erasure.erase(reader, reason, run.actor, run.now, force=force)
    if done.files_rewritten:  # A store of this command's own ends with it.
        done = replace(done, files_rewritten=run.service.erasure.eraser.wait_for_file_rewrite(_PATIENCE))
    counts = ", ".join(f"{name} {count}" for name, count in done.counts.items())
    text = f"Erased: {counts}.{'' if done.files_rewritten else _FILES_TO_REWRITE}"
    return Output(ErasedOut.write(done), text)

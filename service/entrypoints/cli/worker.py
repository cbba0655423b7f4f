"""`paywall worker`, `paywall reconcile`: keep the store in step with Stripe."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from service.domain.errors import StripeFailure
from service.entrypoints.cli import session
from service.entrypoints.cli.session import Output
from service.use_cases.subscriptions.catch_up import CatchUpResult
from service.use_cases.subscriptions.full_sync import FullSyncResult

STRIPE_UNREACHABLE = "Stripe cannot be reached ({}); nothing is lost, try again later."
OBJECTS_LEFT = "{} objects could not be read from Stripe; nothing is lost, try again later."


@click.command()
@click.option("--once", is_flag=True, help="Do all that is due, and exit.")
@session.json_option
def worker(once: bool, as_json: bool) -> None:
    """Catch up with Stripe, sweep, finish what was left, until SIGTERM; of many workers one is active."""
    if once:
        _work_once()
    else:
        from service.entrypoints.processes.worker import main

        with session.service(patient=True, traced=True) as service:
            main(service)


def _work_once() -> None:
    with session.service(traced=True) as service:
        done = service.worker.run_once()
        imports = service.imports.finish_all()
        service.reader_lists.prepare()
        service.audit.flush_all()
    found = {
        "objects": done.objects,
        "imports": imports,
        "audit": done.audit,
        "merges": done.merges,
        "catch_up": _encoded(done.caught_up),
        "sweep": _encoded(done.full_sync),
        "left": done.left,
        "trouble": done.trouble,
    }
    text = f"Done: {done.objects} objects, {done.audit} audit entries, {done.merges} merges, {imports} imports."
    session.show(Output(found, text))
    if done.trouble:
        session.fail(STRIPE_UNREACHABLE.format(done.trouble))
    if done.left:
        session.fail(OBJECTS_LEFT.format(done.left))


@click.command()
@click.option("--catch-up", "catching", is_flag=True, help="Only Stripe's events since the last catch-up.")
@click.option("--sweep", "sweeping", is_flag=True, help="Only a comparison of every object with Stripe's.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@session.json_option
def reconcile(catching: bool, sweeping: bool, dry_run: bool, as_json: bool) -> None:
    """Bring what is kept into line with Stripe: catch up on events, then sweep over all objects."""
    both = catching == sweeping
    with session.service() as service:
        working = service.worker
        try:
            caught = working.catch_up(dry_run=dry_run) if both or catching else None
            swept = working.full_sync(dry_run=dry_run) if both or sweeping else None
        except StripeFailure as trouble:
            session.fail(STRIPE_UNREACHABLE.format(trouble.why))
        if not dry_run:
            # The result is in effect when the command exits.
            service.event_processor.finish_postponed(service.clock())
            service.audit.flush_all()
        found = {"catch_up": _encoded(caught), "sweep": _encoded(swept), "dry_run": dry_run}
        session.show(Output(found, _as_text(found, service.gateway is None)))
        left = (caught.left if caught else 0) + sum(not drift.corrected for drift in (swept.drift if swept else ()))
        if left and not dry_run:
            session.fail(OBJECTS_LEFT.format(left))


def _encoded(found: CatchUpResult | FullSyncResult | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)


def _as_text(found: dict[str, Any], without_key: bool) -> str:
    if without_key:
        return "No STRIPE_API_KEY is set: there is nothing to compare with."
    lines = []
    for name in ("catch_up", "sweep"):
        if found[name] is not None:
            figures = ", ".join(
                f"{word}: {value}" for word, value in found[name].items() if not isinstance(value, list)
            )
            lines.append(f"{name.replace('_', '-')}: {figures}")
            lines += [f"  {_drift(row)}" for value in found[name].values() if isinstance(value, list) for row in value]
    return "\n".join(lines + (["Nothing was changed (--dry-run)."] if found["dry_run"] else []))


def _drift(row: dict[str, Any]) -> str:
    return f"{row['name']}: {row['what']}{', corrected' if row['corrected'] else ''}"

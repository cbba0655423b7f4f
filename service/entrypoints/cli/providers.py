"""`paywall providers …`: subscriptions that are not Stripe's, such as print, from a CSV file."""

from __future__ import annotations

from pathlib import Path

import click

from service.entrypoints.cli import imports, session
from service.entrypoints.cli.session import Invocation, Output
from service.entrypoints.responses.imports import write_snapshot_dry_run
from service.use_cases.providers import snapshot_file
from service.use_cases.providers.external_sources import find_provider
from service.use_cases.providers.snapshot_kind import SNAPSHOT


@click.group()
def providers() -> None:
    """Take over what other billing systems report, such as print or an app store."""


@providers.command("snapshot")
@click.argument("provider")
@imports.file_argument
@imports.dry_run_option
@click.option("--force", is_flag=True, help="Take it although it ends more subscriptions than largest_drop allows.")
@imports.template_option
@session.uses_service
def snapshot(run: Invocation, provider: str, file: Path | None, dry_run: bool, force: bool, template: bool) -> Output:
    """Replace all subscriptions of a provider by those of a CSV with the columns id, reader, plan and until.

    Subscriptions that the file no longer lists end at once. `until` is a date, a span, or a time. If it is empty, the
    subscription runs until a later file no longer lists it.
    """
    catalogue = session.settings().catalogue
    find_provider(catalogue, provider)
    if template:
        return imports.template_output(snapshot_file.template(catalogue))
    body = imports.read_file(file, snapshot_file.FORMAT)
    sheet, snapshots = snapshot_file.read(body, catalogue, run.now), run.service.snapshots
    if dry_run:
        found = write_snapshot_dry_run(sheet, snapshots.dry_run(provider, sheet, run.now, force=force))
        return imports.dry_run_output(run, SNAPSHOT, found)
    return imports.submitted_output(
        run, SNAPSHOT, lambda: snapshots.submit(provider, sheet, run.actor, run.now, force=force)
    )


@providers.command("snapshot-show")
@click.argument("import_id", metavar="ID")
@session.uses_service
def show_snapshot(run: Invocation, import_id: str) -> Output:
    """Show how far a snapshot is."""
    return imports.show(run, import_id, SNAPSHOT)

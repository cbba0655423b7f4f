"""`paywall links …`: link many customers or subscriptions of Stripe's to readers, from a CSV file."""

from __future__ import annotations

from pathlib import Path

import click

from service.adapters.redis.stripe_objects.link_imports import LINK_IMPORT
from service.entrypoints.cli import imports, session
from service.entrypoints.cli.session import Invocation, Output
from service.use_cases.subscriptions import link_imports


@click.group()
def links() -> None:
    """Link what is at Stripe to readers, many at once. For a single one: `paywall readers link`."""


@links.command("import")
@imports.file_argument
@imports.dry_run_option
@imports.template_option
@session.uses_service
def import_file(run: Invocation, file: Path | None, dry_run: bool, template: bool) -> Output:
    """Link customers or subscriptions, all or none, from a CSV with the columns reader and customer, or reader and
    subscription.

    IDs are not looked up at Stripe. Start from `paywall links import --template > links.csv`.
    """
    if template:
        return imports.template_output(link_imports.template())
    body = imports.read_file(file, link_imports.FORMAT)
    return imports.import_sheet(run, LINK_IMPORT, link_imports.read(body), dry_run)


imports.add_progress_commands(links, LINK_IMPORT)

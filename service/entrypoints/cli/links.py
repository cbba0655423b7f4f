"""`paywall links …`: link many customers or subscriptions of Stripe's to readers, from a CSV file."""

from __future__ import annotations

from pathlib import Path

import click

from service.adapters.redis.stripe_objects.link_imports import LINK_IMPORT
from service.entrypoints.cli import imports, session
from service.entrypoints.cli.session import Invocation, Output
from service.use_cases.subscriptions import link_file


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
        return imports.template_output(link_file.template())
    body = imports.read_file(file, link_file.FORMAT)
    return imports.import_sheet(run, LINK_IMPORT, link_file.read(body), dry_run)


@links.command("import-show")
@click.argument("import_id", metavar="ID")
@session.uses_service
def show_import(run: Invocation, import_id: str) -> Output:
    """Show how far an import of links is, or its undoing."""
    return imports.show(run, import_id, LINK_IMPORT)


@links.command("import-undo")
@click.argument("import_id", metavar="ID")
@session.required_reason_option
@session.uses_service
@session.confirms("Undo the import {import_id}? Its readers can lose access.")
def undo_import(run: Invocation, import_id: str, reason: str) -> Output:
    """Undo an import of links: each object has the link that it would have without the import."""
    return imports.undo(run, import_id, reason, LINK_IMPORT)

"""`paywall grants import …`: grants for many readers from a CSV file, and taking them back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from service.adapters.redis.grants.imports import ImportManifest
from service.bootstrap import Service
from service.domain import ids
from service.entrypoints.cli import context as session
from service.entrypoints.http.api.imports import checked, known, mistakes, sheet_of, waiting
from service.entrypoints.http.errors import Problem, invalid
from service.use_cases.grants.imports import csv_file as import_sheet
from service.use_cases.grants.imports.grant_imports import Waiting
from service.use_cases.grants.imports.pacing import HASTE
from service.use_cases.grants.imports.progress import told_of
from service.use_cases.grants.imports.staging import WrongRows

_SHOWN = 50
"""Mistakes printed; `--json` prints all of them."""


def add_to(grants: click.Group) -> None:
    """Adds these commands to `paywall grants`."""
    for command in (take_in, show, undo):
        grants.add_command(command)


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what it would do.")
@session.json_option
@session.refusals
def take_in(file: Path, dry_run: bool, as_json: bool) -> None:
    """Give grants to many readers, all or none, from a CSV: reader,plan,until,reason (until: a time, or never)."""
    if file.stat().st_size > import_sheet.MOST_BYTES:
        raise Problem(413, f"{file} has more than {import_sheet.MOST_BYTES} bytes; import it in parts.")
    with session.service() as service:
        now = service.clock()
        sheet = sheet_of(file.read_bytes(), service.settings.catalogue, now, HASTE)
        if dry_run:
            told = checked(service.imports, sheet, now, HASTE)
            session.show(told, as_json, lambda: _counted(told))
            sys.exit(1 if told["errors"] else 0)
        try:
            found = service.imports.submit(sheet, session.actor(), now)
        except WrongRows as wrong:
            _refuse(mistakes(wrong.mistakes), as_json)
        if isinstance(found, Waiting):
            told = waiting(found)
            session.show(told, as_json, lambda: f"{told['approval']} waits for a second admin: {_counted(told)}")
            return
        told = told_of(_finished(service, found, as_json))
        session.show(told, as_json, lambda: f"{told['id']} is {told['state']}: {_counted(told)}")


@click.command("import-show")
@click.argument("import_id", metavar="ID")
@session.json_option
@session.refusals
def show(import_id: str, as_json: bool) -> None:
    """Show how far an import is, or its undoing."""
    with session.service() as service:
        told = told_of(known(lambda: service.imports.find(import_id)))
        session.show(told, as_json, lambda: f"{told['id']} is {told['state']}: {_counted(told)}{_undone(told)}")


@click.command("import-undo")
@click.argument("import_id", metavar="ID")
@click.option("--reason", required=True, help="Why; it stands in the audit log.")
@session.json_option
@session.refusals
def undo(import_id: str, reason: str, as_json: bool) -> None:
    """Undo an import: take back what it gave, and nothing that somebody changed since."""
    try:
        why = ids.read_reason(reason)
    except ValueError as error:
        raise invalid([("reason", str(error))]) from None
    with session.service() as service:
        begun = known(lambda: service.imports.undo(import_id, why, session.actor(), service.clock()))
        told = told_of(_finished(service, begun, as_json))
        session.show(told, as_json, lambda: f"{told['id']} is {told['state']}{_undone(told)}")


def _finished(service: Service, manifest: ImportManifest, quiet: bool) -> ImportManifest:
    """Does what was committed, with a bar; a crash or Ctrl-C leaves the rest to a running `serve` or worker."""
    if quiet:
        return service.imports.roll(manifest.id)
    with click.progressbar(length=max(manifest.chunks, 1), label=manifest.id, file=sys.stderr) as bar:
        done = service.imports.roll(manifest.id, _to(bar))
        bar.update(bar.length - bar.pos if bar.length else 0)
        return done


def _to(bar: Any) -> Callable[[int, int], None]:
    def moved(done: int, of: int) -> None:
        bar.length = of
        bar.update(done - bar.pos)

    return moved


def _counted(told: dict[str, Any]) -> str:
    counts = f"{told['rows']} rows, {told['new']} new, {told['extended']} extended, {told['unchanged']} unchanged"
    return "\n".join([counts + (f", {len(told['errors'])} wrong" if told["errors"] else ""), *_lines(told["errors"])])


def _undone(told: dict[str, Any]) -> str:
    counts = told["undo"]
    return f"; {counts['taken_back']} taken back, {counts['left_alone']} changed since and left" if counts else ""


def _lines(wrong: list[dict[str, Any]]) -> list[str]:
    lines = [f"line {each['line']}, {each['field']}: {each['message']}" for each in wrong[:_SHOWN]]
    return lines + ([f"… and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else [])


def _refuse(wrong: list[dict[str, Any]], as_json: bool) -> NoReturn:
    if as_json:
        session.show({"errors": wrong}, True, str)
        sys.exit(1)
    session.fail("\n".join([*_lines(wrong), "Nothing was taken."]))

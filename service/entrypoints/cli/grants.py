"""`paywall grants …`: access that admins give, one reader at a time or from a CSV file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from service.adapters.redis.imports.import_store import GRANT_IMPORT, ImportManifest
from service.adapters.redis.staff.approvals import Approval
from service.bootstrap import Service
from service.domain.errors import WrongRows
from service.domain.sources import Grant
from service.entrypoints.cli import context as session
from service.entrypoints.cli.context import Invocation, Output
from service.entrypoints.responses.administration import write_approval, write_submitted_import
from service.entrypoints.responses.imports import write_dry_run, write_import, write_mistakes
from service.entrypoints.responses.lists import GRANTS
from service.entrypoints.responses.readers import GRANT_STATUSES, write_grant
from service.use_cases.grants.grant_changes import to_grant_request
from service.use_cases.grants.imports import grant_file
from service.use_cases.imports.bulk_imports import PendingImport

_SHOWN = 50
"""Mistakes of a file printed; `--json` prints all of them."""

reader_option = click.option("--reader", required=True, type=session.READER_ID, help="The reader's id.")


@click.group()
def grants() -> None:
    """Give VIP access, list it, take it back."""


@grants.command("add")
@reader_option
@click.option("--plan", type=session.ANY_ID, help="The plan to grant.")
@click.option("--feature", "features", multiple=True, type=session.ANY_ID, help="A single feature; may be repeated.")
@session.required_reason_option
@click.option("--until", type=session.END, help="The end: 2027-01-01 (that whole day), 30d, 12h or a time.")
@click.option("--no-end", is_flag=True, help="Grant it without an end.")
@click.option("--from", "from_", type=session.MOMENT, help="The start; now if it is not given.")
@session.uses_service
def add(run: Invocation, reader: str, no_end: bool, **fields: Any) -> Output:
    """Give a reader a plan or single features, with a reason and an end."""
    _require_end(fields["until"], no_end)
    if (fields["plan"] is None) == (not fields["features"]):
        raise click.UsageError("Give either --plan or --feature.")
    done = run.service.grant_changes.create(reader, to_grant_request(fields, run.now), run.actor, run.now)
    return _output(done, "Granted", reader, run.now)


@grants.command("change")
@reader_option
@session.required_reason_option
@click.option("--until", type=session.END, help="The new end: 2027-01-01 (that whole day), 30d, 12h or a time.")
@click.option("--no-end", is_flag=True, help="Let it go on without an end.")
@click.argument("grant_id", metavar="ID")
@session.uses_service
def change(run: Invocation, reader: str, reason: str, until: float | None, no_end: bool, grant_id: str) -> Output:
    """Give a grant another end: extend it or shorten it."""
    _require_end(until, no_end)
    done = run.service.grant_changes.change(reader, grant_id, until, reason, run.actor, run.now)
    return _output(done, "Changed", reader, run.now)


def _require_end(until: float | None, no_end: bool) -> None:
    if (until is None) != no_end:
        raise click.UsageError("Give either --until or --no-end.")


def _output(done: Grant | Approval, verb: str, reader: str, now: float) -> Output:
    if isinstance(done, Approval):
        waits = write_approval(done)
        hint = f"paywall approvals confirm {done.id}"
        text = f"{done.id} waits for a second admin, until {waits['expires_at']}: {hint}"
        return Output(waits, text)
    found = write_grant(done, reader, now)
    return Output(found, f"{verb} {done.id}: {_line(found)}")


@grants.command("list")
@click.option("--reader", help="Only this reader's grants.")
@click.option("--plan", help="Only grants of this plan.")
@click.option("--actor", help="Only grants that this admin created.")
@click.option("--status", type=click.Choice(GRANT_STATUSES), help="Only grants of this status.")
@session.ends_before_option
@click.option("--import", "import_id", help="Only grants of this import.")
@session.limit_option
@session.after_option
@session.uses_service
def show(run: Invocation, limit: int, import_id: str | None, **given: str | float | None) -> Output:
    """List grants, the newest first."""
    page = session.read_list_page(GRANTS, limit, **given, **{"import": import_id})
    run.service.reader_lists.prepare()
    return session.list_output(
        GRANTS.load(run.service, page),
        lambda one: f"{one['id']}  {_line(one)}  ({one['actor']}: {one['reason']})",
        "No grants.",
    )


@grants.command("revoke")
@reader_option
@session.required_reason_option
@click.argument("grant_id", metavar="ID")
@session.uses_service
def revoke(run: Invocation, reader: str, reason: str, grant_id: str) -> Output:
    """Take a grant back, at once."""
    revoked = run.service.grant_changes.revoke(reader, grant_id, reason, run.actor, run.now)
    return _output(revoked, "Revoked", reader, run.now)


def _line(grant: dict[str, Any]) -> str:
    what = grant["plan"] or ", ".join(grant["features"])
    return f"{what} for {grant['reader']}, {grant['status']}, from {grant['from']} until {grant['until'] or 'no end'}"


# ---------------------------------------------------------------------------------------------------- bulk imports


@grants.command("import")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what it would do.")
@click.option("--template", is_flag=True, help="Print a file to start from.")
@session.uses_service
def import_file(run: Invocation, file: Path | None, dry_run: bool, template: bool) -> Output:
    """Give grants to many readers, all or none, from a CSV with the columns reader, plan, until and reason.

    `until` is a date, a span, a time, or never. Start from `paywall grants import --template > grants.csv`.
    """
    if template:
        text = grant_file.template(session.settings().catalogue)
        return Output({"template": text}, text.rstrip())
    if file is None:
        raise click.UsageError("Give a FILE, or --template for one to start from.")
    with file.open("rb") as opened:
        body = opened.read(grant_file.FORMAT.most_bytes + 1)
    sheet = grant_file.read(body, run.service.settings.catalogue, run.now)
    if dry_run:
        found = write_dry_run(GRANT_IMPORT, sheet, run.service.imports.dry_run(GRANT_IMPORT, sheet, run.now))
        return Output(found, _counted(found), status=1 if found["errors"] else 0)
    try:
        done = run.service.imports.submit(GRANT_IMPORT, sheet, run.actor, run.now)
    except WrongRows as wrong:
        errors = write_mistakes(wrong.rows)
        if not session.wants_json():
            session.fail("\n".join([*_lines(errors), "Nothing was imported."]))
        return Output({"errors": errors}, "", status=1)
    if isinstance(done, PendingImport):
        found, text = write_submitted_import(done), f"{done.approval.id} waits for a second admin"
    else:
        found = write_import(_finished(run.service, done))
        text = f"{found['id']} is {found['state']}"
    return Output(found, f"{text}: {_counted(found)}")


@grants.command("import-show")
@click.argument("import_id", metavar="ID")
@session.uses_service
def show_import(run: Invocation, import_id: str) -> Output:
    """Show how far an import is, or its undoing."""
    found = write_import(run.service.imports.find(import_id, GRANT_IMPORT))
    return Output(found, f"{found['id']} is {found['state']}: {_counted(found)}{_undone(found)}")


@grants.command("import-undo")
@click.argument("import_id", metavar="ID")
@session.required_reason_option
@session.uses_service
def undo_import(run: Invocation, import_id: str, reason: str) -> Output:
    """Undo an import: take back what it gave, and nothing that an admin changed since."""
    begun = run.service.imports.undo(import_id, reason, run.actor, run.now, GRANT_IMPORT)
    found = write_import(_finished(run.service, begun))
    return Output(found, f"{found['id']} is {found['state']}{_undone(found)}")


def _finished(service: Service, manifest: ImportManifest) -> ImportManifest:
    """Finish committed work, with a bar; a crash or Ctrl-C leaves the rest to a running `serve` or worker."""
    if session.wants_json():
        return service.imports.finish(manifest.id)
    with click.progressbar(length=max(manifest.chunks, 1), label=manifest.id, file=sys.stderr) as bar:
        done = service.imports.finish(manifest.id, _to(bar))
        bar.update(bar.length - bar.pos if bar.length else 0)
        return done


def _to(bar: Any) -> Callable[[int, int], None]:
    def moved(done: int, of: int) -> None:
        bar.length = of
        bar.update(done - bar.pos)

    return moved


def _counted(found: dict[str, Any]) -> str:
    counts = f"{found['rows']} rows, {found['new']} new, {found['extended']} extended, {found['unchanged']} unchanged"
    return "\n".join(
        [counts + (f", {len(found['errors'])} wrong" if found["errors"] else ""), *_lines(found["errors"])]
    )


def _undone(found: dict[str, Any]) -> str:
    counts = found["undo"]
    return f"; {counts['taken_back']} taken back, {counts['left_alone']} changed since and left" if counts else ""


def _lines(wrong: list[dict[str, Any]]) -> list[str]:
    lines = [f"line {each['line']}, {each['field']}: {each['message']}" for each in wrong[:_SHOWN]]
    return lines + ([f"… and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else [])

"""What the commands that import many rows share: the file, the dry run, the bar, and what they print."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from service.adapters.redis.imports.import_store import ImportManifest
from service.bootstrap import Service
from service.domain.errors import StoreUnavailable, UnknownImport, WrongRows
from service.entrypoints.cli import session
from service.entrypoints.cli.session import Invocation, Output
from service.entrypoints.responses.administration import write_submitted_import
from service.entrypoints.responses.imports import write_dry_run, write_import, write_mistakes
from service.use_cases.imports.bulk_imports import PendingImport
from service.use_cases.imports.csv_file import CsvFormat, ImportSheet

_SHOWN = 50
"""Mistakes of a file printed; `--json` prints all of them."""

file_argument = click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what it would do.")
template_option = click.option("--template", is_flag=True, help="Print a file to start from.")


def template_output(text: str) -> Output:
    """Print a file to start from."""
    return Output({"template": text}, text.rstrip())


def read_file(file: Path | None, form: CsvFormat) -> bytes:
    """Return the bytes of a file, one more than its format allows at most."""
    if file is None:
        raise click.UsageError("Give a FILE, or --template for one to start from.")
    with file.open("rb") as opened:
        return opened.read(form.most_bytes + 1)


def import_sheet(
    run: Invocation, kind: str, sheet: ImportSheet[Any], dry_run: bool, *, reason: str | None = None, **about: Any
) -> Output:
    """Import a sheet, or print what the import would do."""
    if dry_run:
        found = write_dry_run(kind, sheet, run.service.imports.dry_run(kind, sheet, run.now, **about))
        return dry_run_output(run, kind, found)
    submit = partial(run.service.imports.submit, kind, sheet, run.actor, run.now, reason=reason, **about)
    return submitted_output(run, kind, submit)


def dry_run_output(run: Invocation, kind: str, found: dict[str, Any]) -> Output:
    """Print what an import would do, and why it would be refused."""
    is_refused = found["errors"] or found.get("refused")
    text = "\n".join([_counted(found, run.service.imports.kinds[kind].results), *filter(None, [found.get("message")])])
    return Output(found, text, status=1 if is_refused else 0)


def submitted_output(run: Invocation, kind: str, submit: Callable[[], ImportManifest | PendingImport]) -> Output:
    """Submit an import, finish it, and print what it did; or print the mistakes in its file."""
    try:
        done = submit()
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
    return Output(found, f"{text}: {_counted(found, run.service.imports.kinds[kind].results)}")


def show(run: Invocation, import_id: str, *kinds: str) -> Output:
    """Print how far an import of one of these kinds is, or its undo."""
    manifest = _find(run, import_id, kinds)
    found = write_import(manifest)
    counted = _counted(found, run.service.imports.kinds[manifest.kind].results)
    return Output(found, f"{found['id']} is {found['state']}: {counted}{_undone(found)}")


def add_progress_commands(group: click.Group, *kinds: str) -> None:
    """Add `import-show` and `import-undo`, for imports of these kinds, to a group of commands."""

    @group.command("import-show")
    @click.argument("import_id", metavar="ID")
    @session.uses_service
    def show_import(run: Invocation, import_id: str) -> Output:
        """Show how far an import is, or its undo."""
        return show(run, import_id, *kinds)

    @group.command("import-undo")
    @click.argument("import_id", metavar="ID")
    @session.required_reason_option
    @session.uses_service
    @session.confirms("Undo the import {import_id}? Its readers can lose access.")
    def undo_import(run: Invocation, import_id: str, reason: str) -> Output:
        """Undo an import: take back what it did, and nothing that an admin changed since."""
        begun = run.service.imports.undo(_find(run, import_id, kinds).id, reason, run.actor, run.now)
        found = write_import(_finished(run.service, begun))
        return Output(found, f"{found['id']} is {found['state']}{_undone(found)}")


def _find(run: Invocation, import_id: str, kinds: Sequence[str]) -> ImportManifest:
    manifest = run.service.imports.find(import_id)
    if manifest.kind not in kinds:
        raise UnknownImport
    return manifest


def _finished(service: Service, manifest: ImportManifest) -> ImportManifest:
    """Finish committed work, with a bar; a crash or Ctrl-C leaves the rest to a running `serve` or worker."""
    with names_import_if_store_fails(manifest.id):
        if session.wants_json():
            return service.imports.finish(manifest.id)
        with click.progressbar(length=max(manifest.chunks, 1), label=manifest.id, file=sys.stderr) as bar:
            done = service.imports.finish(manifest.id, _to(bar))
            bar.update(bar.length - bar.pos if bar.length else 0)
            return done


@contextmanager
def names_import_if_store_fails(import_id: str, then: str = "") -> Iterator[None]:
    """Exit with the ID of a committed import if the store becomes unavailable; `then` is what else to do."""
    try:
        yield
    except StoreUnavailable as failure:
        session.fail(
            f"The store is unavailable ({failure}), but {import_id} is committed. A running service or worker finishes "
            f"it when the store is back.{then}"
        )


def _to(bar: Any) -> Callable[[int, int], None]:
    def moved(done: int, of: int) -> None:
        bar.length = of
        bar.update(done - bar.pos)

    return moved


def _counted(found: dict[str, Any], results: Sequence[str]) -> str:
    counts = ", ".join([f"{found['rows']} rows", *(f"{found[name]} {name}" for name in results)])
    return "\n".join(
        [counts + (f", {len(found['errors'])} wrong" if found["errors"] else ""), *_lines(found["errors"])]
    )


def _undone(found: dict[str, Any]) -> str:
    counts = found["undo"]
    return f"; {counts['taken_back']} taken back, {counts['left_alone']} changed since and left" if counts else ""


def _lines(wrong: list[dict[str, Any]]) -> list[str]:
    lines = [f"line {each['line']}, {each['field']}: {each['message']}" for each in wrong[:_SHOWN]]
    return lines + ([f"… and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else [])

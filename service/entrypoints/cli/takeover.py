"""`paywall takeover …`: bring the members of another system along, from its export."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click
import jinja2

from service.bootstrap import Service
from service.domain.errors import StripeUnavailable, WrongRows
from service.domain.ids import escape_invisible
from service.entrypoints.cli import session
from service.entrypoints.cli.imports import names_import_if_store_fails
from service.entrypoints.cli.session import Invocation, Output
from service.entrypoints.responses.takeover import REASONS, describe_takeover, describe_unmapped, write_takeover
from service.use_cases.imports.bulk_imports import PendingImport
from service.use_cases.takeover.export_file import ExportRow, read_export
from service.use_cases.takeover.formats import FORMATS
from service.use_cases.takeover.formats.export_format import ExportFormat, ReadingContext
from service.use_cases.takeover.level_map import FILE, LevelMap, propose, read_level_map
from service.use_cases.takeover.takeover import TakeoverReport
from service.use_cases.takeover.takeover_import import TAKEOVER_IMPORT

EXPORTS = {
    "ghost": "In Ghost: Members, then Export all members.",
    "leaky": "In WordPress: Leaky Paywall, Tools, Export. Times are in the site's timezone.",
    "pmp": "In WordPress: Memberships, Members, Export to CSV. Times are in the site's timezone.",
    "woocommerce": "In WordPress: WooCommerce, Subscription Exporter. Tick “payment tokens”.",
    "stripe": "In Stripe's Dashboard: Billing, Subscriptions (or Customers), Export, with all columns and metadata.",
}
"""Where each export comes from."""
_TEMPLATE = Path(__file__).parent / "takeover_page.html"


@click.group()
def takeover() -> None:
    """Take over members from the export of another system, without locking anybody out.

    Begin with a dry run: it changes nothing, proposes a takeover.toml that maps levels to plans, and lists everybody whose
    access would differ. The help of each format says where its export comes from.
    """


def _command(form: ExportFormat) -> click.Command:
    """Return the command of a format."""

    @click.argument(
        "files", metavar="FILE…", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
    )
    @click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help=f"The file that maps levels to plans; {FILE} of this folder if it is there.",
    )
    @click.option("--reader-column", help=f"The column of the reader's ID; “{form.reader_column}” if it is not given.")
    @click.option("--dry-run", is_flag=True, help="Only report what it would do.")
    @click.option("--accept-losses", is_flag=True, help="Write also if readers would lose access.")
    @click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write the report as a page, too.")
    @session.uses_service
    def command(run: Invocation, **given: Any) -> Output:
        return _take_over(run, form, **given)

    return click.command(form.name, help=f"Take over {form.title}.\n\n{EXPORTS[form.name]}")(command)


for _form in FORMATS.values():
    takeover.add_command(_command(_form))


def _take_over(
    run: Invocation,
    form: ExportFormat,
    *,
    files: tuple[Path, ...],
    config: Path | None,
    reader_column: str | None,
    dry_run: bool,
    accept_losses: bool,
    html: Path | None,
) -> Output:
    if html is not None and not html.parent.is_dir():
        raise click.UsageError(f"There is no folder {html.parent} for the page.")
    catalogue, names = session.settings().catalogue, [str(file) for file in files]
    config = config or (Path(FILE) if Path(FILE).exists() else None)
    levels = read_level_map(config.read_bytes(), catalogue) if config else LevelMap()
    context = ReadingContext(run.now, catalogue.zone, reader_column or form.reader_column, levels.known_levels)
    rows = [row for number, file in enumerate(files) for row in _read(file, number, form, context)]
    status = Status()
    if not dry_run:
        run.service.imports.finish_all()  # Of an earlier command, so that a repeat finds nothing left to write.
    found = _examine(run, form, rows, levels, status)
    refused = bool(found.comparison.loses) and not accept_losses
    import_id, outcome = None, "This was a dry run: nothing was written."
    if refused:
        outcome = "Nothing was written, because readers would lose access. --accept-losses writes it nevertheless."
    elif not dry_run:
        import_id, outcome = _write(run, found, status)
    status.clear()
    lines = [*describe_takeover(found, names), outcome]
    value = write_takeover(found, import_id, names)
    if html is not None:
        html.write_text(_render_page(found, value, names, outcome), "utf-8")
    hints = describe_unmapped(found) if session.wants_json() else []
    if config is None and (found.unmapped or (found.levels and form.name != "stripe")):
        proposed = propose(found.levels, form.name, catalogue).rstrip()
        hints += ["", f"There is no {FILE}. Save this one, and name a plan for each level:", "", proposed]
    if session.wants_json():
        click.echo(escape_invisible("\n".join(hints)), err=True)
    else:
        lines += hints
    return Output(value, "\n".join(lines), status=1 if refused else 0)


def _examine(
    run: Invocation, form: ExportFormat, rows: list[ExportRow], levels: LevelMap, status: Status
) -> TakeoverReport:
    try:
        return run.service.takeover.examine(form, rows, levels, run.now, status.report)
    except StripeUnavailable as failure:
        status.clear()
        session.fail(
            f"Stripe cannot be reached now ({failure.why}). Nothing was written. Run the same command again: within an hour, "
            "it goes on where this one stopped reading."
        )


def _render_page(report: TakeoverReport, value: dict[str, Any], files: list[str], outcome: str) -> str:
    """Return the report as a page that needs nothing from elsewhere: figures, levels, skipped rows and every difference."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["visible"] = lambda text: escape_invisible(str(text))
    template = environment.from_string(_TEMPLATE.read_text("utf-8"))
    return template.render(report=report, value=value, files=files, outcome=outcome, reasons=REASONS)


def _read(file: Path, number: int, form: ExportFormat, context: ReadingContext) -> list[ExportRow]:
    try:
        return read_export(file.read_bytes(), number, form, context)
    except WrongRows as wrong:
        lines = [f"{file}, {place}: {message}" for place, message in wrong.errors]
        session.fail("\n".join([*lines, "Nothing was written."]))


def _write(run: Invocation, found: TakeoverReport, status: Status) -> tuple[str | None, str]:
    """Write a take-over. Return the ID of the import, and what was done in words."""
    service: Service = run.service
    done = service.takeover.commit(found, run.actor, run.now)
    if isinstance(done, PendingImport):
        approval = done.approval.id
        waits = f"{approval} waits for a second admin: paywall approvals confirm {approval}"
        return done.manifest.id, f"This take-over was requested before. {waits}" if done.waited else waits
    if done is None:
        service.takeover.store_subscriptions(found, run.now, status.report)
        return None, "Nothing had to be written: everything is here already."
    back = f"Take it back with: paywall takeover undo {done.id}"
    with names_import_if_store_fails(done.id, f" Run the same command again then: it does what is left. {back}"):
        service.imports.finish(done.id, lambda count, of: status.report("Writing", count, of))
        service.takeover.store_subscriptions(found, run.now, status.report)
    return done.id, f"Taken over as {done.id}. {back}"


class Status:
    """One line on a terminal that says how far the work is; nothing where standard error is a file."""

    def __init__(self) -> None:
        self._is_shown = sys.stderr.isatty()
        self._last = 0.0

    def report(self, what: str, done: int, of: int) -> None:
        """Show how much is done, and of how much; `of` is 0 where that is unknown."""
        if self._is_shown and (time.monotonic() - self._last > 0.1 or done == of):
            self._last = time.monotonic()
            click.echo(f"\r\x1b[K{what}: {done:,}{f' of {of:,}' if of else ''}", nl=False, err=True)

    def clear(self) -> None:
        """Remove the line."""
        if self._is_shown:
            click.echo("\r\x1b[K", nl=False, err=True)


@takeover.command("undo")
@click.argument("import_id", metavar="ID")
@click.option(
    "--reason", type=session.REASON, default="the take-over is undone", help="Why; it stands in the audit log."
)
@session.uses_service
@session.confirms("Undo the take-over {import_id}? Its readers can lose access.")
def undo(run: Invocation, import_id: str, reason: str) -> Output:
    """Take a take-over back: its links, grants and seats, and nothing that an admin changed since."""
    service, status = run.service, Status()
    begun = service.imports.undo(import_id, reason, run.actor, run.now, TAKEOVER_IMPORT)
    with names_import_if_store_fails(begun.id):
        done = service.imports.finish(begun.id, lambda count, of: status.report("Undoing", count, of))
    status.clear()
    counts = {name: done.counted[name] for name in ("taken_back", "left_alone")}
    text = f"{counts['taken_back']:,} taken back, {counts['left_alone']:,} changed since and left"
    return Output({"id": done.id, "state": done.public_state, **counts}, f"{done.id} is {done.public_state}; {text}")

"""`paywall grants …`: access that admins give, one reader at a time or from a CSV file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from service.adapters.redis.imports.import_store import GRANT_IMPORT
from service.adapters.redis.staff.approvals import Approval
from service.domain.sources import Grant
from service.entrypoints.cli import imports, session
from service.entrypoints.cli.session import Invocation, Output
from service.entrypoints.responses.administration import write_approval
from service.entrypoints.responses.grant_changes import choose_grants, read_change
from service.entrypoints.responses.lists import GRANTS
from service.entrypoints.responses.readers import write_grant
from service.use_cases.grants.grant_changes import to_grant_request
from service.use_cases.grants.imports import grant_file
from service.use_cases.grants.imports.grant_change_kind import GRANT_CHANGES

reader_option = click.option("--reader", required=True, type=session.READER_ID, help="The reader's id.")
until_option = click.option("--until", type=session.END, help=session.END_HELP)
no_end_option = click.option("--no-end", is_flag=True, help="No end, instead of --until.")


@click.group()
def grants() -> None:
    """Grant access, such as VIP, list grants, and change or revoke them."""


@grants.command("add")
@reader_option
@click.option("--plan", type=session.ANY_ID, help="The plan to grant.")
@click.option("--feature", "features", multiple=True, type=session.ANY_ID, help="A single feature; may be repeated.")
@session.required_reason_option
@until_option
@no_end_option
@click.option("--from", "from_", type=session.MOMENT, help="The start; now if it is not given.")
@session.uses_service
def add(run: Invocation, reader: str, no_end: bool, **fields: Any) -> Output:
    """Grant a reader a plan or single features, with a reason and an expiry date."""
    _require_end(fields["until"], no_end)
    if (fields["plan"] is None) == (not fields["features"]):
        raise click.UsageError("Give either --plan or --feature.")
    done = run.service.grant_changes.create(reader, to_grant_request(fields, run.now), run.actor, run.now)
    return _output(done, "Granted", reader, run.now)


@grants.command("change")
@reader_option
@session.required_reason_option
@until_option
@no_end_option
@click.argument("grant_id", metavar="ID")
@session.uses_service
def change(run: Invocation, reader: str, reason: str, until: float | None, no_end: bool, grant_id: str) -> Output:
    """Change the expiry date of a grant: extend it or shorten it."""
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
@session.filter_options(GRANTS)
@session.limit_option
@session.after_option
@session.uses_service
def show(run: Invocation, limit: int, **given: str | float | None) -> Output:
    """List grants, the newest first."""
    page = session.read_list_page(GRANTS, limit, **given)
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
@session.confirms("Revoke the grant {grant_id} of {reader}? The reader can lose access at once.")
def revoke(run: Invocation, reader: str, reason: str, grant_id: str) -> Output:
    """Revoke a grant, at once."""
    revoked = run.service.grant_changes.revoke(reader, grant_id, reason, run.actor, run.now)
    return _output(revoked, "Revoked", reader, run.now)


def _line(grant: dict[str, Any]) -> str:
    what = grant["plan"] or ", ".join(grant["features"])
    return f"{what} for {grant['reader']}, {grant['status']}, from {grant['from']} until {grant['until'] or 'no end'}"


# ---------------------------------------------------------------------------------------------------- bulk imports


@grants.command("import")
@imports.file_argument
@imports.dry_run_option
@imports.template_option
@session.uses_service
def import_file(run: Invocation, file: Path | None, dry_run: bool, template: bool) -> Output:
    """Give grants to many readers, all or none, from a CSV with the columns reader, plan, until and reason.

    `until` is a date, a span, a time, or never. Start from `paywall grants import --template > grants.csv`.
    """
    catalogue = session.settings().catalogue
    if template:
        return imports.template_output(grant_file.template(catalogue))
    body = imports.read_file(file, grant_file.FORMAT)
    return imports.import_sheet(run, GRANT_IMPORT, grant_file.read(body, catalogue, run.now), dry_run)


@grants.command("change-many")
@click.argument("ids", nargs=-1, metavar="[ID]…")
@session.required_reason_option
@until_option
@no_end_option
@click.option("--revoke", is_flag=True, help="Take them back.")
@session.filter_options(GRANTS)
@imports.dry_run_option
@session.uses_service
@session.confirms("Revoke these grants? Their readers can lose access at once.", only_with="revoke")
def change_many(
    run: Invocation,
    ids: tuple[str, ...],
    reason: str,
    until: float | None,
    no_end: bool,
    revoke: bool,
    dry_run: bool,
    **given: str | float | None,
) -> Output:
    """Give many grants another end, or revoke them: those with these IDs, or all that match the filters.

    The filters are those of `paywall grants list`. Start with --dry-run. `import-show` and `import-undo` take its ID.
    """
    if [until is not None, no_end, revoke].count(True) != 1:
        raise click.UsageError("Give one of --until, --no-end and --revoke.")
    filters = session.read_list_page(GRANTS, 1, **given).filters
    if not ids and not filters:
        raise click.UsageError("Give IDs of grants, or a filter such as --plan.")
    run.service.reader_lists.prepare()
    change = read_change({"revoke": True} if revoke else {"until": until})
    sheet = choose_grants(run.service, change, filters, list(ids) or None, run.now)
    return imports.import_sheet(run, GRANT_CHANGES, sheet, dry_run, reason=reason, **change.about())


imports.add_progress_commands(grants, GRANT_IMPORT, GRANT_CHANGES)

"""`paywall audit …`: list, check, export the audit log, let old records go."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

import click
import orjson

from service.adapters.redis.audit.chain import AuditFilter, Head, parse_head
from service.adapters.redis.audit.verification import BrokenChain, ChainVerdict
from service.adapters.redis.client.errors import StoreError
from service.entrypoints.cli import context as session
from service.entrypoints.http import paging
from service.entrypoints.http.api.audit import LIST

_UNITS = {"h": 3_600, "d": 86_400}


class HeadParam(click.ParamType[Head]):
    """`SEQ:HASH`, as an export or a listing printed it."""

    name = "seq:hash"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Head:
        try:
            return value if isinstance(value, Head) else parse_head(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Age(click.ParamType[int]):
    """A length of time such as 400d, in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        number, unit = value[:-1], value[-1:]
        if not (number.isascii() and number.isdigit() and len(number) < 7 and unit in _UNITS and int(number)):
            self.fail("must be a number of days or hours, such as 400d", param, ctx)
        return int(number) * _UNITS[unit]


def add_to(main: click.Group) -> None:
    """Adds these commands."""
    main.add_command(audit)


@click.group()
def audit() -> None:
    """The audit log: every admin change, in a chain that nobody can mend unseen."""


@audit.command("list")
@click.option("--limit", type=click.IntRange(1, paging.MOST), default=paging.USUAL, help="How many, the newest first.")
@click.option("--after", help="The last answer's next.")
@click.option("--reader", type=session.ReaderId(), help="Only about this reader.")
@click.option("--actor", help="Only by this key's name, or cli:USER.")
@click.option("--action", help="Only of this kind, like grant.create.")
@click.option("--target", help="Only about this grant, key, import ….")
@session.json_option
@session.refusals
def show(limit: int, after: str | None, as_json: bool, **filters: str | None) -> None:
    """List the log, newest first, and its head."""
    place = None
    if after is not None:
        try:
            place = int(paging.place_in(after, LIST))
        except ValueError:
            raise click.UsageError("--after: is not a next of this list") from None
    with session.service() as service:
        log = service.audit_log
        head = log.state().head
        found, last = log.load_page(AuditFilter(**filters), limit=limit, after=place)
        following = paging.cursor(LIST, str(last)) if last is not None else None
        told = {**paging.listed(found, following), "head": str(head)}
        lines = [_line(record) for record in found]
        session.show(told, as_json, lambda: "\n".join([*lines, f"head {head}"]))


def _line(record: dict[str, Any]) -> str:
    if record["at"] is None:
        return f"{record['seq']}  (erased)"
    parts = [record["reader"], record["target"], record["reason"]]
    return f"{record['seq']}  {record['at']}  {record['actor']}  {record['action']}  " + "  ".join(filter(None, parts))


@audit.command("export")
@click.argument("file", type=click.File("wb", lazy=False), default="-")
@session.json_option
@session.refusals
def export(file: Any, as_json: bool) -> None:
    """Write the whole log as JSON lines, oldest first; the head goes to standard error.

    Keep the head elsewhere: `paywall audit verify --head` then finds out if the end is cut off one day.
    """
    with session.service() as service:
        first, head, count = service.audit_check.load_checkpoint().first, service.audit_log.state().head, 0
        for record in service.audit_log.iterate_records(first, head.seq):
            file.write(orjson.dumps(record) + b"\n")
            count += 1
        file.flush()
    told = {"records": count, "first": first, "head": str(head)}
    text = f"{count} records, from {first}\nhead {head}"
    click.echo(orjson.dumps(told).decode() if as_json else text, err=True)


@audit.command("verify")
@click.option("--head", type=HeadParam(), help="The head that an export or a listing printed: finds a cut end too.")
@session.json_option
@session.refusals
def verify(head: Head | None, as_json: bool) -> None:
    """Check the chain; name the first record that was changed, dropped, put in or moved."""
    with session.service() as service:
        with suppress(StoreError):  # What is no outbox any more, or no log, has nothing to be moved from or to.
            service.audit.flush_all()
        verdict = service.audit_check.verify(head)
        told = told_of(verdict)
        told["secrets"] = "configured" if service.secrets.configured else "kept in the store"
        session.show(told, as_json, lambda: _verdict(told))
    if verdict.fault is not None:
        sys.exit(1)


def told_of(verdict: ChainVerdict) -> dict[str, Any]:
    """What a check found, as JSON."""
    return {
        "ok": verdict.fault is None,
        "first_bad": verdict.fault.seq if verdict.fault else None,
        "why": verdict.fault.why if verdict.fault else None,
        "checked": verdict.checked,
        "first": verdict.checkpoint.first,
        "head": str(verdict.head),
        "refused": verdict.refused,
    }


def _verdict(told: dict[str, Any]) -> str:
    if told["ok"]:
        lines = [f"The chain is sound: {told['checked']} records, from {told['first']}."]
    else:
        lines = [f"Record {told['first_bad']} {told['why']}."]
    if told["refused"]:
        lines.append(
            f"{told['refused']} entries lay in outboxes that this service had not put there; none got into the chain."
        )
    if told["secrets"] != "configured":
        lines.append(
            "PAYWALL_SECRETS is not set: who can write to the store could also sign. Set it to make this a proof."
        )
    return "\n".join([*lines, f"head {told['head']}"])


@audit.command("prune")
@click.option("--older-than", "age", type=Age(), required=True, help="Like 400d.")
@session.json_option
@session.refusals
def prune(age: int, as_json: bool) -> None:
    """Let records go that are older, behind a signed checkpoint; verify then begins there. Export them first."""
    with session.service() as service:
        now, check = service.clock(), service.audit_check
        try:
            gone = check.prune(now - age, now)
        except BrokenChain as broken:
            session.fail(f"Nothing was let go. {broken}")
        checkpoint = check.load_checkpoint()
        told = {"gone": gone, "first": checkpoint.first, "head": str(service.audit_log.state().head)}
        session.show(
            told,
            as_json,
            lambda: f"{gone} records went; the first one left is {checkpoint.first}.\nhead {told['head']}",
        )

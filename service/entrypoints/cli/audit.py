"""`paywall audit …`: list, export and verify the audit log, and delete old records."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import click
import orjson

from service.adapters.redis.audit.chain import Head, parse_head
from service.adapters.redis.audit.verification import BrokenChain, ChainVerdict
from service.adapters.redis.client.errors import StoreError
from service.entrypoints.cli import session
from service.entrypoints.cli.session import Invocation, Output
from service.entrypoints.responses.lists import AUDIT

_UNITS = {"h": 3_600, "d": 86_400}


def _age(text: str) -> int:
    """Return a length of time such as 400d in seconds. `ValueError` with a sentence."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdigit() and len(number) < 7 and unit in _UNITS and int(number)):
        raise ValueError("must be a number of days or hours, such as 400d")
    return int(number) * _UNITS[unit]


HEAD = session.Parsed("seq:hash", parse_head)
"""`SEQ:HASH`, as an export or a listing printed it."""
AGE = session.Parsed("age", _age)


@click.group()
def audit() -> None:
    """The audit log: every admin change, in a chain that shows any tampering."""


@audit.command("list")
@session.limit_option
@session.after_option
@click.option("--reader", type=session.READER_ID, help="Only about this reader.")
@click.option("--actor", help="Only by this key's name, or cli:USER.")
@click.option("--action", help="Only of this kind, like grant.create.")
@click.option("--target", help="Only about this grant, key, import ….")
@session.uses_service
def show(run: Invocation, limit: int, **given: str | None) -> Output:
    """List the log, newest first, and its head."""
    page = session.read_list_page(AUDIT, limit, **given)
    head = str(run.service.audit_log.state().head)
    found = AUDIT.load(run.service, page)
    lines = [_line(record) for record in found.items]
    return Output({**found.as_json(), "head": head}, "\n".join([*lines, f"head {head}"]))


def _line(record: dict[str, Any]) -> str:
    if record["at"] is None:
        return f"{record['seq']}  (erased)"
    parts = [record["reader"], record["target"], record["reason"]]
    return f"{record['seq']}  {record['at']}  {record['actor']}  {record['action']}  " + "  ".join(filter(None, parts))


@audit.command("export")
@click.argument("file", type=click.File("wb", lazy=False), default="-")
@session.json_option
def export(file: Any, as_json: bool) -> None:
    """Write the whole log as JSON lines, oldest first; the head goes to standard error.

    Keep the head elsewhere: `paywall audit verify --head` then finds out if the end is cut off one day.
    """
    service = session.open_service()
    first, head, count = service.audit_verifier.load_chain_start().first, service.audit_log.state().head, 0
    for record in service.audit_log.iterate_records(first, head.seq):
        file.write(orjson.dumps(record) + b"\n")
        count += 1
    file.flush()
    found = {"records": count, "first": first, "head": str(head)}
    text = f"{count} records, from {first}\nhead {head}"
    click.echo(orjson.dumps(found).decode() if as_json else text, err=True)


@audit.command("verify")
@click.option("--head", type=HEAD, help="The head that an export or a listing printed: finds a cut end too.")
@session.uses_service
def verify(run: Invocation, head: Head | None) -> Output:
    """Check the chain; name the first record that was changed, removed, inserted or moved."""
    with suppress(StoreError):  # A damaged outbox or log must not keep the chain from being checked.
        run.service.audit.flush_all()
    verdict = run.service.audit_verifier.verify(head)
    found = _encoded(verdict)
    found["secrets"] = "configured" if run.service.secrets.configured else "kept in the store"
    return Output(found, _verdict(found), status=0 if verdict.fault is None else 1)


def _encoded(verdict: ChainVerdict) -> dict[str, Any]:
    """Return the result of a verification as JSON."""
    return {
        "ok": verdict.fault is None,
        "first_bad": verdict.fault.seq if verdict.fault else None,
        "why": verdict.fault.why if verdict.fault else None,
        "checked": verdict.checked,
        "first": verdict.checkpoint.first,
        "head": str(verdict.head),
        "refused": verdict.refused,
        "redacted": verdict.redacted,
    }


def _verdict(found: dict[str, Any]) -> str:
    if found["ok"]:
        lines = [f"The chain is sound: {found['checked']} records, from {found['first']}."]
    else:
        lines = [f"Record {found['first_bad']} {found['why']}."]
    if found["redacted"]:
        lines.append(f"{found['redacted']} records lack a reader who was erased; a later record states each erasure.")
    if found["refused"]:
        lines.append(f"{found['refused']} entries in outboxes are not from this service; none of them is in the chain.")
    if found["secrets"] != "configured":
        lines.append(
            "PAYWALL_SECRETS is not set: who can write to the store could also sign. Set it to make this a proof."
        )
    return "\n".join([*lines, f"head {found['head']}"])


@audit.command("prune")
@click.option("--older-than", "age", type=AGE, required=True, help="Like 400d.")
@session.uses_service
@session.confirms("Delete the older records?")
def prune(run: Invocation, age: int) -> Output:
    """Delete older records behind a signed checkpoint, where verify then begins. Export them first."""
    check = run.service.audit_verifier
    try:
        gone = check.prune(run.now - age, run.now)
    except BrokenChain as broken:
        session.fail(f"Nothing was deleted. {broken}")
    checkpoint = check.load_chain_start()
    found = {"gone": gone, "first": checkpoint.first, "head": str(run.service.audit_log.state().head)}
    return Output(
        found, f"{gone} records were deleted; the first one left is {checkpoint.first}.\nhead {found['head']}"
    )

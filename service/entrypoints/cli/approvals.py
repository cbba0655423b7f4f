"""`paywall approvals …`: what waits for a second admin."""

from __future__ import annotations

from typing import Any

import click

from service.entrypoints.cli import context as session
from service.entrypoints.cli.context import Output
from service.entrypoints.responses.administration import write_approval


@click.group()
def approvals() -> None:
    """What waits for a second admin, where [grants] in paywall.toml requires one."""


@approvals.command("list")
@session.prints
def show() -> Output:
    """List what waits, newest first."""
    service = session.open_service()
    found = [write_approval(one) for one in service.approvals.list_waiting(service.clock())]
    return Output({"items": found}, "\n".join(map(_line, found)) or "Nothing waits.")


@approvals.command("confirm")
@click.argument("approval_id", metavar="ID")
@session.prints
def confirm(approval_id: str) -> Output:
    """Confirm what another admin asked for, and do it."""
    service = session.open_service()
    now = service.clock()
    approval, outcome = service.approval_workflow.confirm(approval_id, session.actor(), now)
    done = write_approval(approval, "confirmed", outcome, now)
    return Output(done, f"Confirmed: {_line(done)}")


@approvals.command("refuse")
@click.argument("approval_id", metavar="ID")
@session.reason_option
@session.prints
def refuse(approval_id: str, reason: str | None) -> Output:
    """Refuse what another admin asked for, or withdraw what you asked for."""
    service = session.open_service()
    refused = service.approvals.refuse(approval_id, session.actor(), reason, service.clock())
    done = write_approval(refused, "refused")
    return Output(done, f"Refused: {_line(done)}")


def _line(approval: dict[str, Any]) -> str:
    wants = ", ".join("no end" if value is None else f"{name} {value}" for name, value in approval["wants"].items())
    whom = f" for {approval['reader']}" if approval["reader"] else ""
    why = f": {approval['reason']}" if approval["reason"] else ""
    return f"{approval['approval']}  {approval['kind']}{whom}: {wants}  ({approval['asked_by']}{why})"

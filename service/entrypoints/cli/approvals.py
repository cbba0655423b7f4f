"""`paywall approvals …`: what waits for a second admin."""

from __future__ import annotations

from typing import Any

import click

from service.entrypoints.cli import session
from service.entrypoints.cli.session import Invocation, Output
from service.entrypoints.responses.administration import write_approval


@click.group()
def approvals() -> None:
    """Pending approvals by a second admin, where [grants] in paywall.toml requires one."""


@approvals.command("list")
@session.uses_service
def show(run: Invocation) -> Output:
    """List the pending approvals, newest first."""
    found = [write_approval(one) for one in run.service.approval_workflow.list_waiting(run.now)]
    return Output({"items": found}, "\n".join(map(_line, found)) or "No pending approvals.")


@approvals.command("confirm")
@click.argument("approval_id", metavar="ID")
@session.uses_service
def confirm(run: Invocation, approval_id: str) -> Output:
    """Approve what another admin requested, and do it."""
    approval, outcome = run.service.approval_workflow.confirm(approval_id, run.actor, run.now)
    done = write_approval(approval, "confirmed", outcome, run.now)
    return Output(done, f"Confirmed: {_line(done)}")


@approvals.command("refuse")
@click.argument("approval_id", metavar="ID")
@session.reason_option
@session.uses_service
def refuse(run: Invocation, approval_id: str, reason: str | None) -> Output:
    """Reject what another admin requested, or withdraw your own request."""
    refused = run.service.approvals.refuse(approval_id, run.actor, reason, run.now)
    done = write_approval(refused, "refused")
    return Output(done, f"Refused: {_line(done)}")


def _line(approval: dict[str, Any]) -> str:
    wanted = approval["wants"].items()
    wants = ", ".join("no end" if value is None else f"{name} {session.in_words(value)}" for name, value in wanted)
    whom = f" for {approval['reader']}" if approval["reader"] else ""
    why = f": {approval['reason']}" if approval["reason"] else ""
    return f"{approval['approval']}  {approval['kind']}{whom}: {wants}  ({approval['asked_by']}{why})"

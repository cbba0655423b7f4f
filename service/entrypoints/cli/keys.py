"""`paywall keys …`, `paywall approvals …`: who may, and what waits for a second admin."""

from __future__ import annotations

from typing import Any

import click

from service.adapters.redis.audit.audit import Actor
from service.domain import ids
from service.domain.ids import read_key_name
from service.domain.roles import ADMIN_ROLES
from service.entrypoints.cli import context as session
from service.entrypoints.http.api import approvals
from service.entrypoints.http.api import keys as admin_keys
from service.entrypoints.http.errors import invalid

reason_option = click.option("--reason", help="Why; it stands in the audit log.")


def add_to(main: click.Group) -> None:
    """Adds these commands."""
    main.add_command(keys)
    main.add_command(waiting)


class KeyName(click.ParamType[str]):
    """A key's name on the command line."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return read_key_name(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _reason(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return ids.read_reason(text)
    except ValueError as error:
        raise invalid([("reason", str(error))]) from None


@click.group()
def keys() -> None:
    """Admin keys beside those of PAYWALL_ADMIN_KEYS: make, list and end them while the service runs."""


@keys.command("add")
@click.argument("name", type=KeyName())
@click.option("--role", type=click.Choice(ADMIN_ROLES), required=True, help="What the key may do.")
@reason_option
@session.json_option
@session.refusals
def add(name: str, role: str, reason: str | None, as_json: bool) -> None:
    """Make a key and print it: this is the only time that it is shown."""
    why = _reason(reason)
    with session.service() as service:
        told = admin_keys.made(service.admin_keys, name, role, why, session.actor(), service.clock())
        session.show(
            told, as_json, lambda: f"{told['name']} is a {told['role']} now. The key, shown this once:\n{told['key']}"
        )


@keys.command("list")
@session.json_option
@session.refusals
def show(as_json: bool) -> None:
    """List the keys made at run time, without the keys themselves."""
    with session.service() as service:
        found = [admin_keys.told_of(key) for key in service.admin_keys.list_all()]
        lines = [f"{k['name']}  {k['role']}  since {k['created_at']} by {k['actor']}" for k in found]
        session.show({"items": found}, as_json, lambda: "\n".join(lines) or "No keys beside the environment's.")


@keys.command("end")
@click.argument("name", type=KeyName())
@reason_option
@session.json_option
@session.refusals
def end(name: str, reason: str | None, as_json: bool) -> None:
    """End a key: within two seconds it opens nothing any more."""
    why = _reason(reason)
    with session.service() as service:
        told = admin_keys.ended_key(service.admin_keys, name, why, session.actor(), service.clock())
        session.show(told, as_json, lambda: f"{told['name']} opens nothing any more.")


@click.group("approvals")
def waiting() -> None:
    """What waits for a second admin, where [grants] in paywall.toml wants one."""


@waiting.command("list")
@session.json_option
@session.refusals
def show_waiting(as_json: bool) -> None:
    """List what waits, newest first."""
    with session.service() as service:
        found = [approvals.told_of(a) for a in service.approvals.list_waiting(service.clock())]
        session.show({"items": found}, as_json, lambda: "\n".join(map(_line, found)) or "Nothing waits.")


@waiting.command("confirm")
@click.argument("approval_id", metavar="ID")
@session.json_option
@session.refusals
def confirm(approval_id: str, as_json: bool) -> None:
    """Confirm what another admin asked for, and do it."""
    with session.service() as service:
        told = approvals.confirmed(service.approving, approval_id, session.actor(), service.clock())
        session.show(told, as_json, lambda: f"Confirmed: {_line(told)}")


@waiting.command("refuse")
@click.argument("approval_id", metavar="ID")
@reason_option
@session.json_option
@session.refusals
def refuse(approval_id: str, reason: str | None, as_json: bool) -> None:
    """Refuse what another admin asked for, or withdraw what you asked for."""
    actor: Actor = session.actor()
    why = _reason(reason)
    with session.service() as service:
        told = approvals.refused(service.approving, approval_id, actor, why, service.clock())
        session.show(told, as_json, lambda: f"Refused: {_line(told)}")


def _line(told: dict[str, Any]) -> str:
    wants = ", ".join("no end" if value is None else f"{name} {value}" for name, value in told["wants"].items())
    whom = f" for {told['reader']}" if told["reader"] else ""
    why = f": {told['reason']}" if told["reason"] else ""
    return f"{told['approval']}  {told['kind']}{whom}: {wants}  ({told['asked_by']}{why})"

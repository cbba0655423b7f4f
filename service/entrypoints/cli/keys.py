"""`paywall keys …`: admin keys made at run time."""

from __future__ import annotations

import click

from service.domain.roles import ADMIN_ROLES
from service.entrypoints.cli import context as session
from service.entrypoints.cli.context import Invocation, Output
from service.entrypoints.responses.administration import KeyOut


@click.group()
def keys() -> None:
    """Admin keys beside those of PAYWALL_ADMIN_KEYS: make, list and end them while the service runs."""


@keys.command("add")
@click.argument("name", type=session.KEY_NAME)
@click.option("--role", type=click.Choice(ADMIN_ROLES), required=True, help="What the key may do.")
@session.reason_option
@session.uses_service
def add(run: Invocation, name: str, role: str, reason: str | None) -> Output:
    """Make a key and print it: this is the only time that it is shown."""
    secret = run.service.admin_keys.create(name, role, reason, run.actor, run.now)
    text = f"{name} is a {role} now. The key, shown this once:\n{secret}"
    return Output({"name": name, "role": role, "key": secret}, text)


@keys.command("list")
@session.uses_service
def show(run: Invocation) -> Output:
    """List the keys made at run time, without the keys themselves."""
    found = [KeyOut.write(key) for key in run.service.admin_keys.list_all()]
    lines = [f"{k['name']}  {k['role']}  since {k['created_at']} by {k['actor']}" for k in found]
    return Output({"items": found}, "\n".join(lines) or "No keys beside the environment's.")


@keys.command("end")
@click.argument("name", type=session.KEY_NAME)
@session.reason_option
@session.uses_service
def end(run: Invocation, name: str, reason: str | None) -> Output:
    """End a key: within two seconds it opens nothing any more."""
    ended = run.service.admin_keys.end(name, reason, run.actor, run.now)
    return Output(KeyOut.write(ended), f"{name} opens nothing any more.")

"""`paywall keys …`: admin keys made at run time."""

from __future__ import annotations

import click

from service.domain.roles import ADMIN_ROLES
from service.entrypoints.cli import context as session
from service.entrypoints.responses.administration import KeyOut


def add_to(main: click.Group) -> None:
    """Add `paywall keys`."""
    main.add_command(keys)


@click.group()
def keys() -> None:
    """Admin keys beside those of PAYWALL_ADMIN_KEYS: make, list and end them while the service runs."""


@keys.command("add")
@click.argument("name", type=session.KEY_NAME)
@click.option("--role", type=click.Choice(ADMIN_ROLES), required=True, help="What the key may do.")
@session.reason_option
@session.json_option
def add(name: str, role: str, reason: str | None, as_json: bool) -> None:
    """Make a key and print it: this is the only time that it is shown."""
    with session.service() as service:
        secret = service.admin_keys.create(name, role, reason, session.actor(), service.clock())
        text = f"{name} is a {role} now. The key, shown this once:\n{secret}"
        session.show({"name": name, "role": role, "key": secret}, as_json, lambda: text)


@keys.command("list")
@session.json_option
def show(as_json: bool) -> None:
    """List the keys made at run time, without the keys themselves."""
    with session.service() as service:
        found = [KeyOut.write(key) for key in service.admin_keys.list_all()]
        lines = [f"{k['name']}  {k['role']}  since {k['created_at']} by {k['actor']}" for k in found]
        session.show({"items": found}, as_json, lambda: "\n".join(lines) or "No keys beside the environment's.")


@keys.command("end")
@click.argument("name", type=session.KEY_NAME)
@session.reason_option
@session.json_option
def end(name: str, reason: str | None, as_json: bool) -> None:
    """End a key: within two seconds it opens nothing any more."""
    with session.service() as service:
        ended = service.admin_keys.end(name, reason, session.actor(), service.clock())
        session.show(KeyOut.write(ended), as_json, lambda: f"{name} opens nothing any more.")

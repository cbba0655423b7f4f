"""`paywall keys …`: admin keys made at run time. `paywall sign-in-link`: a link to the staff page for the owner of a key."""

from __future__ import annotations

from urllib.parse import urlsplit

import click

from service.adapters.crypto import key_digest
from service.adapters.redis.staff.sign_in_links import VALID_FOR, SignInLinks
from service.domain.roles import ADMIN_ROLES
from service.domain.times import utc
from service.entrypoints.cli import session
from service.entrypoints.cli.session import Invocation, Output
from service.entrypoints.processes.listening import local_url
from service.entrypoints.responses.administration import KeyOut


@click.group()
def keys() -> None:
    """Admin keys beside those of PAYWALL_ADMIN_KEYS: create, list and revoke them while the service runs."""


@keys.command("add")
@click.argument("name", type=session.KEY_NAME)
@click.option("--role", type=click.Choice(ADMIN_ROLES), required=True, help="What the key may do.")
@session.reason_option
@session.uses_service
def add(run: Invocation, name: str, role: str, reason: str | None) -> Output:
    """Create a key and print it. It is shown this once."""
    secret = run.service.admin_keys.create(name, role, reason, run.actor, run.now)
    text = f"{name} has the role {role}. Copy the key now; you won't see it again:\n{secret}"
    return Output({"name": name, "role": role, "key": secret}, text)


@keys.command("list")
@session.uses_service
def show(run: Invocation) -> Output:
    """List the keys created at run time, without the keys themselves."""
    found = [KeyOut.write(key) for key in run.service.admin_keys.list_all()]
    lines = [f"{k['name']}  {k['role']}  since {k['created_at']} by {k['actor']}" for k in found]
    return Output({"items": found}, "\n".join(lines) or "No keys were created at run time.")


@keys.command("end")
@click.argument("name", type=session.KEY_NAME)
@session.reason_option
@session.uses_service
@session.confirms("Revoke the key {name}? Everyone who uses it loses access.")
def end(run: Invocation, name: str, reason: str | None) -> Output:
    """Revoke a key. Within two seconds, no process accepts it."""
    ended = run.service.admin_keys.end(name, reason, run.actor, run.now)
    return Output(KeyOut.write(ended), f"{name} is revoked.")


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/") or parts.query:
        raise ValueError("must be an address like https://paywall.example.news")
    return f"{parts.scheme}://{parts.netloc}"


@click.command("sign-in-link")
@click.option("--key", "name", type=session.KEY_NAME, help="The key to sign in with; the first of PAYWALL_ADMIN_KEYS.")
@click.option(
    "--url", type=session.Parsed("url", _origin), help="The address at which your browser reaches the service."
)
@session.uses_service
def sign_in_link(run: Invocation, name: str | None, url: str | None) -> Output:
    """Print a link that signs a browser in to the staff page. It works once, within ten minutes."""
    settings = run.service.settings
    name, role, digest = _key_for_link(run, name)
    token = SignInLinks(run.service.store).create(digest, run.actor.name)
    public = settings.openid.public_url if settings.openid is not None else local_url(settings.host, settings.port)
    link = f"{url or public}/admin/sign-in/link?token={token}"
    expires = utc(run.now + VALID_FOR)
    text = f"This link signs you in as {name} ({role}), once, until {expires}:\n\n    {link}\n"
    return Output({"url": link, "name": name, "role": role, "expires_at": expires}, text)


def _key_for_link(run: Invocation, name: str | None) -> tuple[str, str, bytes]:
    """Return the name, role and digest of a key; without a name, of the first one in the environment."""
    for key in run.service.settings.admin_keys:
        if name in (None, key.name):
            return key.name, "owner", key_digest(key.secret)
    for created in run.service.admin_keys.list_all():
        if name == created.name:
            return created.name, created.role, bytes.fromhex(created.mark)
    if name is not None:
        raise click.ClickException(
            f"No admin key is named {name}. `paywall keys list` lists those created at run time."
        )
    raise click.ClickException("PAYWALL_ADMIN_KEYS is not set here. Set it as for `paywall serve`, or give --key.")

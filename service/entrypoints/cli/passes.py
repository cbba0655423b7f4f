"""`paywall passes …`: links that open one story, from the command line."""

from __future__ import annotations

from typing import Any

import click

from service.domain import ids
from service.entrypoints.cli import context as session
from service.entrypoints.http import paging
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.api import passes as routes
from service.entrypoints.http.errors import invalid
from service.entrypoints.responses.pass_schemas import PassIn


def add_to(main: click.Group) -> None:
    """Adds these commands."""
    main.add_command(passes)


@click.group()
def passes() -> None:
    """Links that open one story for whoever has them: make, list, show and revoke them."""


@passes.command("add")
@click.option("--story", required=True, type=session.AnyId(), help="The story's id.")
@click.option("--openings", required=True, type=int, help="How many people may read by it.")
@click.option("--until", required=True, help="The end, like 2027-01-01T00:00:00Z.")
@click.option("--reason", required=True, help="Why; it stands in the audit log.")
@session.json_option
@session.refusals
def add(story: str, openings: int, until: str, reason: str, as_json: bool) -> None:
    """Make a link that opens a story; without story_url in paywall.toml, the token that the website takes as "pass"."""
    # The schema of the route is the rule here too.
    data = bodies.check(PassIn(), {"story": story, "openings": openings, "until": until, "reason": reason})
    with session.service() as service:
        told = routes.made(service, data, session.actor(), service.clock())
        catalogue = service.settings.catalogue
        session.show(told, as_json, lambda: f"{_line(told)}\n{routes.link_of(catalogue, told) or told['pass']}")


@passes.command("list")
@click.option("--limit", type=click.IntRange(1, paging.MOST), default=paging.USUAL, show_default=True, help="How many.")
@click.option("--after", help="The last answer's next.")
@session.json_option
@session.refusals
def show_all(limit: int, after: str | None, as_json: bool) -> None:
    """List the passes, newest first."""
    try:
        place = None if after is None else paging.place_in(after, routes.LIST)
    except ValueError as error:
        raise invalid([("after", str(error))]) from None
    with session.service() as service:
        found, following = routes.listing(service, paging.Page(limit, place, {}), service.clock())
        lines = [_line(told) for told in found] + ([f"More: --after {following}"] if following else [])
        session.show(paging.listed(found, following), as_json, lambda: "\n".join(lines) or "No passes.")


@passes.command("show")
@click.argument("pass_id", metavar="ID", type=session.AnyId())
@session.json_option
@session.refusals
def show(pass_id: str, as_json: bool) -> None:
    """Show a pass, with its link's token."""
    with session.service() as service:
        told = routes.shown(service, pass_id, service.clock())
        catalogue = service.settings.catalogue
        session.show(told, as_json, lambda: f"{_line(told)}\n{routes.link_of(catalogue, told) or told['pass']}")


@passes.command("revoke")
@click.argument("pass_id", metavar="ID", type=session.AnyId())
@click.option("--reason", help="Why; it stands in the audit log.")
@session.json_option
@session.refusals
def revoke(pass_id: str, reason: str | None, as_json: bool) -> None:
    """Take a pass back, at once, from everybody who has the link."""
    why = _reason(reason)
    with session.service() as service:
        told = routes.revoked(service, pass_id, why, session.actor(), service.clock())
        session.show(told, as_json, lambda: f"Revoked: {_line(told)}")


def _reason(text: str | None) -> str | None:
    try:
        return None if text is None else ids.read_reason(text)
    except ValueError as error:
        raise invalid([("reason", str(error))]) from None


def _line(told: dict[str, Any]) -> str:
    spent = f"{told['used']} of {told['openings']} openings used"
    return f"{told['id']}  {told['story']}  {told['status']}, {spent}, until {told['until']}  ({told['actor']})"

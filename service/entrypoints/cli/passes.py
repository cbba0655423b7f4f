"""`paywall passes …`: links that open one story."""

from __future__ import annotations

from typing import Any

import click

from service.bootstrap import Service
from service.domain.story_passes import StoryPass
from service.entrypoints.cli import context as session
from service.entrypoints.responses.lists import PASSES, list_passes
from service.entrypoints.responses.story_passes import PassIn, pass_link, write_pass
from service.entrypoints.responses.validation import check
from service.use_cases.story_passes.passes import create_story_pass


def add_to(main: click.Group) -> None:
    """Add `paywall passes`."""
    main.add_command(passes)


@click.group()
def passes() -> None:
    """Links that open one story for everyone who has them: make, list, show and revoke them."""


@passes.command("add")
@click.option("--story", required=True, type=session.ANY_ID, help="The story's id.")
@click.option("--openings", required=True, type=int, help="How many people may read by it.")
@click.option("--until", required=True, help="The end, like 2027-01-01T00:00:00Z.")
@session.required_reason_option
@session.json_option
def add(story: str, openings: int, until: str, reason: str, as_json: bool) -> None:
    """Make a link that opens a story; without story_url in paywall.toml, the token that the website takes as "pass"."""
    # The schema of the route is the rule here too.
    data = check(PassIn, {"story": story, "openings": openings, "until": until, "reason": reason})
    with session.service() as service:
        _show(service, create_story_pass(service.passes, data, session.actor(), service.clock()), as_json)


@passes.command("list")
@session.limit_option
@session.after_option
@session.json_option
def show_all(limit: int, after: str | None, as_json: bool) -> None:
    """List the passes, newest first."""
    page = session.read_list_page(PASSES, limit, after=after)
    with session.service() as service:
        found = list_passes(service.passes, service.pass_tokens, page, service.clock())
        session.show_list(found, as_json, _line, "No passes.")


@passes.command("show")
@click.argument("pass_id", metavar="ID", type=session.ANY_ID)
@session.json_option
def show(pass_id: str, as_json: bool) -> None:
    """Show a pass, with its link's token."""
    with session.service() as service:
        _show(service, service.passes.find(pass_id), as_json)


@passes.command("revoke")
@click.argument("pass_id", metavar="ID", type=session.ANY_ID)
@session.reason_option
@session.json_option
def revoke(pass_id: str, reason: str | None, as_json: bool) -> None:
    """Take a pass back, at once, from everyone who has the link."""
    with session.service() as service:
        now = service.clock()
        revoked = service.passes.revoke(pass_id, reason, session.actor(), now)
        found = write_pass(revoked, service.pass_tokens, now)
        session.show(found, as_json, lambda: f"Revoked: {_line(found)}")


def _show(service: Service, story_pass: StoryPass, as_json: bool) -> None:
    found = write_pass(story_pass, service.pass_tokens, service.clock())
    link = pass_link(service.settings.catalogue, found) or found["pass"]
    session.show(found, as_json, lambda: f"{_line(found)}\n{link}")


def _line(found: dict[str, Any]) -> str:
    spent = f"{found['used']} of {found['openings']} openings used"
    return f"{found['id']}  {found['story']}  {found['status']}, {spent}, until {found['until']}  ({found['actor']})"

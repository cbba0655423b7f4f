"""`paywall passes …`: gift links, which open one story."""

from __future__ import annotations

from typing import Any

import click

from service.bootstrap import Service
from service.domain.story_passes import StoryPass
from service.domain.times import write_time
from service.entrypoints.cli import session
from service.entrypoints.cli.session import Invocation, Output
from service.entrypoints.responses.fields import check
from service.entrypoints.responses.lists import PASSES
from service.entrypoints.responses.story_passes import PassIn, pass_link, write_pass
from service.use_cases.story_passes.passes import create_story_pass


@click.group()
def passes() -> None:
    """Gift links, which open one story for everyone who has them: create, list, show and revoke them."""


@passes.command("add")
@click.option("--story", required=True, type=session.ANY_ID, help="The story's id.")
@click.option("--openings", required=True, type=int, help="The maximum number of uses.")
@click.option("--until", required=True, type=session.END, help=session.END_HELP)
@session.required_reason_option
@session.uses_service
def add(run: Invocation, story: str, openings: int, until: float, reason: str) -> Output:
    """Create a gift link. Without story_url in paywall.toml, it is the token that the website takes as "pass"."""
    # The schema of the route is the rule here too.
    data = check(PassIn, {"story": story, "openings": openings, "until": write_time(until), "reason": reason})
    return _output(run.service, create_story_pass(run.service.passes, data, run.actor, run.now))


@passes.command("list")
@session.limit_option
@session.after_option
@session.uses_service
def show_all(run: Invocation, limit: int, after: str | None) -> Output:
    """List the gift links, newest first."""
    page = session.read_list_page(PASSES, limit, after=after)
    return session.list_output(PASSES.load(run.service, page), _line, "No gift links.")


@passes.command("show")
@click.argument("pass_id", metavar="ID", type=session.ANY_ID)
@session.uses_service
def show(run: Invocation, pass_id: str) -> Output:
    """Show a gift link, with its token."""
    return _output(run.service, run.service.passes.find(pass_id))


@passes.command("revoke")
@click.argument("pass_id", metavar="ID", type=session.ANY_ID)
@session.reason_option
@session.uses_service
@session.confirms("Revoke the gift link {pass_id}? It then opens the story for nobody.")
def revoke(run: Invocation, pass_id: str, reason: str | None) -> Output:
    """Revoke a gift link, at once, for everyone who has it."""
    revoked = run.service.passes.revoke(pass_id, reason, run.actor, run.now)
    found = write_pass(revoked, run.service.pass_tokens, run.now)
    return Output(found, f"Revoked: {_line(found)}")


def _output(service: Service, story_pass: StoryPass) -> Output:
    found = write_pass(story_pass, service.pass_tokens, service.clock())
    link = pass_link(service.settings.catalogue, found) or found["pass"]
    return Output(found, f"{_line(found)}\n{link}")


def _line(found: dict[str, Any]) -> str:
    spent = f"{found['used']} of {found['openings']} uses"
    return f"{found['id']}  {found['story']}  {found['status']}, {spent}, until {found['until']}  ({found['actor']})"

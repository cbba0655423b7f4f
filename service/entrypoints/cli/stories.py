"""`paywall stories …`: what is known of the stories that the site asks about."""

from __future__ import annotations

import click

from service.domain.errors import UnknownStory
from service.entrypoints.cli import session
from service.entrypoints.cli.session import Invocation, Output
from service.entrypoints.responses.stories import story_text, write_story
from service.use_cases.access.story_urls import read_story_id


@click.group()
def stories() -> None:
    """Look at what the site said of its stories."""


@stories.command("show")
@click.argument("story", type=session.STORY)
@session.uses_service
def show(run: Invocation, story: str) -> Output:
    """Show what the site last said of a story, by its id, or by its address where story_url is set; and its tier now."""
    catalogue = run.service.settings.catalogue
    story_id = read_story_id(story, catalogue.story_url)
    known = run.service.stories.find(story_id, run.now)
    if known is None:
        raise UnknownStory(story_id)
    origin = catalogue.tier_origin(known.story, run.now)
    return Output(write_story(known, origin), f"{story_id} ({origin.tier}): {story_text(known, origin)}")

"""`/v1/stories/{story}`: what the site last said of a story, and its tier now."""

from __future__ import annotations

from service.bootstrap import Service
from service.domain.errors import UnknownStory
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.fields import JsonObject
from service.entrypoints.responses.stories import StoryOut, write_story


def register(routes: ApiRoutes, service: Service) -> None:
    @routes.add("GET /v1/stories/<any_id:story>", "viewer", StoryOut, refuses=(404,))
    def show_story(story: str) -> JsonObject:
        """Return what the site last said of a story in an access check or a batch, and its tier now.

        A story is known for 90 days after the site asked about it. An unchanged one is noted once an hour, so the site can
        have asked up to an hour after `asked_at`.
        """
        now = service.clock()
        known = service.stories.find(story, now)
        if known is None:
            raise UnknownStory(story)
        return write_story(known, service.settings.catalogue.tier_origin(known.story, now))

"""`/v1/access` and `/v1/access/batch`: may this reader read this story?"""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response

from service.entrypoints.http import guards
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.lists import private
from service.entrypoints.http.openapi_description import described
from service.entrypoints.responses.access import (
    AccessIn,
    AccessOut,
    AccessWriter,
    BatchIn,
    BatchOut,
    question_of,
    story_of,
)
from service.use_cases.access.check import AccessAnswer, AccessCheck


def blueprint(
    access_check: AccessCheck, writer: AccessWriter, clock: Callable[[], float], count: Callable[[AccessAnswer], None]
) -> Blueprint:
    """Return the routes that the website calls."""
    blp = Blueprint("access", __name__)
    access_in, batch_in = AccessIn(), BatchIn()
    tiers = access_check.catalogue.tiers
    unknown = f"there is no such tier; there are {', '.join(tiers)}"

    def unknown_tiers(stories: dict[str, object]) -> list[tuple[str, str]]:
        """Return the tiers, as sent, that the catalogue does not have; the schema rejects what cannot be a tier's name."""
        named = {f"{place}.tier": story.get("tier") for place, story in stories.items() if isinstance(story, dict)}
        return [(place, unknown) for place, tier in named.items() if isinstance(tier, str) and tier not in tiers]

    @blp.post("/v1/access")
    @described(takes=AccessIn, gives={200: AccessOut}, tag="website")
    @guards.site
    def access() -> Response:
        """The full story or the upsell box, for one reader and one story, and why."""
        data = bodies.load(access_in, further=lambda body: unknown_tiers({"story": body.get("story")}))
        answer = access_check.check(question_of(data), clock())
        count(answer)
        return private(writer.write(answer, explained=data.get("explain") is True))

    @blp.post("/v1/access/batch")
    @described(takes=BatchIn, gives={200: BatchOut}, tag="website")
    @guards.site
    def batch() -> Response:
        """Up to 100 stories at once, each as if asked alone without counting."""
        data = bodies.load(batch_in, further=lambda body: unknown_tiers(_placed(body.get("stories"))))
        stories = [story_of(story) for story in data["stories"]]
        answers = access_check.check_all(stories, data.get("reader"), data.get("visitor"), clock())
        for answer in answers:
            count(answer)
        return private({"decisions": [writer.write(answer) for answer in answers]})

    return blp


def _placed(stories: object) -> dict[str, object]:
    """Return a batch's stories by their places in it, if they were sent as a list."""
    return {f"stories.{place}": story for place, story in enumerate(stories if isinstance(stories, list) else ())}

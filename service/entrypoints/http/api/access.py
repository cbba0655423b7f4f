"""`/v1/access` and `/v1/access/batch`: may this reader read this story?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response

from service.domain.catalogue import Story
from service.entrypoints.http import guards
from service.entrypoints.http import request_bodies as bodies
from service.entrypoints.http.lists import private
from service.entrypoints.http.openapi_description import described
from service.entrypoints.responses.encoder import Encoder
from service.entrypoints.responses.schemas import AccessIn, AccessOut, BatchIn, BatchOut
from service.use_cases.access.check import Answer, Desk, Question


def story_of(data: dict[str, Any]) -> Story:
    """A story of loaded request data."""
    return Story(
        data["id"],
        data.get("section"),
        tuple(data.get("tags") or ()),
        data.get("tier"),
        data.get("published_at"),
        tuple(data.get("parts") or ()),
    )


def question_of(data: dict[str, Any]) -> Question:
    """A question of loaded request data; `count` is true unless it says otherwise."""
    token = data.get("pass_")
    return Question(
        story_of(data["story"]),
        data.get("reader"),
        data.get("visitor"),
        data.get("count") is not False,
        token,
        (data.get("context") or {}).get("user_agent") if token is not None else None,
    )


def blueprint(
    desk: Desk, encoder: Encoder, clock: Callable[[], float], answered: Callable[[Answer], None]
) -> Blueprint:
    """The website's questions."""
    blp = Blueprint("access", __name__)
    access_in, batch_in = AccessIn(), BatchIn()
    tiers = desk.catalogue.tiers
    unknown = f"there is no such tier; there are {', '.join(tiers)}"

    def unknown_tiers(stories: dict[str, object]) -> list[tuple[str, str]]:
        """Tiers of stories, as they came, that the catalogue does not have; what is no tier's name the schema refuses."""
        named = {f"{place}.tier": story.get("tier") for place, story in stories.items() if isinstance(story, dict)}
        return [(place, unknown) for place, tier in named.items() if isinstance(tier, str) and tier not in tiers]

    @blp.post("/v1/access")
    @described(takes=AccessIn, gives={200: AccessOut}, tag="website")
    @guards.site
    def access() -> Response:
        """The full story or the upsell box, for one reader and one story, and why."""
        data = bodies.load(access_in, further=lambda body: unknown_tiers({"story": body.get("story")}))
        answer = desk.ask(question_of(data), clock())
        answered(answer)
        return private(encoder.access(answer, explained=data.get("explain") is True))

    @blp.post("/v1/access/batch")
    @described(takes=BatchIn, gives={200: BatchOut}, tag="website")
    @guards.site
    def batch() -> Response:
        """Up to 100 stories at once, each as if asked alone without counting."""
        data = bodies.load(batch_in, further=lambda body: unknown_tiers(_placed(body.get("stories"))))
        stories = [story_of(story) for story in data["stories"]]
        answers = desk.ask_all(stories, data.get("reader"), data.get("visitor"), clock())
        for answer in answers:
            answered(answer)
        return private({"decisions": [encoder.access(answer) for answer in answers]})

    return blp


def _placed(stories: object) -> dict[str, object]:
    """A batch's stories by their places in it, as far as they were sent as a list."""
    return {f"stories.{place}": story for place, story in enumerate(stories if isinstance(stories, list) else ())}

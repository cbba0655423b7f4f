"""`/v1/access` and `/v1/access/batch`: may this reader read this story?

`/v1/decisions/{id}`: what was answered, and why. `/v1/stories/{story}`: what the site last said of a story, and its tier now.
"""

from __future__ import annotations

from service.bootstrap import Service
from service.domain.errors import UnknownStory
from service.entrypoints.http.routes import ApiRoutes
from service.entrypoints.responses.access import (
    AccessIn,
    AccessOut,
    AccessWriter,
    BatchIn,
    BatchOut,
    DecisionOut,
    question_of,
    questions_of,
    stray_verified,
)
from service.entrypoints.responses.fields import JsonObject
from service.entrypoints.responses.stories import StoryOut, write_story


def register(routes: ApiRoutes, service: Service, writer: AccessWriter) -> None:
    """Add the routes that the website calls."""
    access_check, count, note = service.access_check, service.usage_counters.count_answer, service.stories.note
    tiers = access_check.catalogue.tiers
    no_tier = f"there is no such tier; there are {', '.join(tiers)}"

    def find_mistakes(body: JsonObject) -> list[tuple[str, str]]:
        """Return the tiers, as sent, that the catalogue lacks, and a stray `verified`; the schemas reject all else."""
        batch = body.get("stories")
        stories = {f"stories.{place}": story for place, story in enumerate(batch if isinstance(batch, list) else ())}
        stories["story"] = body.get("story")
        named = {f"{place}.tier": story.get("tier") for place, story in stories.items() if isinstance(story, dict)}
        unknown = [(place, no_tier) for place, tier in named.items() if isinstance(tier, str) and tier not in tiers]
        return unknown + stray_verified(body)

    @routes.add("POST /v1/access", "site", AccessOut, body=AccessIn, check=find_mistakes)
    def access(data: JsonObject) -> JsonObject:
        """Decide whether a reader sees the full story or the upsell box, and why."""
        question = question_of(data)
        note([question.story])
        answer = access_check.check(question, service.clock())
        count(answer)
        written = writer.write(answer, explained=data.get("explain") is True)
        if incumbent := data.get("incumbent"):
            service.comparisons.compare(incumbent, answer, written["decision_id"])
        return written

    @routes.add("POST /v1/access/batch", "site", BatchOut, body=BatchIn, check=find_mistakes)
    def batch(data: JsonObject) -> JsonObject:
        """Decide for up to 100 stories at once, each as if asked alone without counting."""
        questions = questions_of(data)
        note([question.story for question in questions])
        answers = access_check.check_all(questions, service.clock())
        for answer in answers:
            count(answer)
        return {"decisions": [writer.write(answer) for answer in answers]}


def register_decisions(routes: ApiRoutes, service: Service) -> None:
    @routes.add("GET /v1/decisions/<decision>", "viewer", DecisionOut)
    def show_decision(decision: str) -> JsonObject:
        """Return a decision of the last seven days, as it was answered, with each step that led there."""
        return DecisionOut.write(service.explainer.explain_decision(decision, service.clock()))

    @routes.add("GET /v1/stories/<any_id:story>", "viewer", StoryOut)
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

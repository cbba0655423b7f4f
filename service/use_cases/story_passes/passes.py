"""Create story passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.adapters.identifiers import new_id
from service.adapters.redis.audit.audit import Actor
from service.adapters.redis.story_passes.passes import Passes, PassRequest
from service.domain.errors import InvalidFields
from service.domain.story_passes import StoryPass


def create_story_pass(
    passes: Passes, data: Mapping[str, Any], actor: Actor, now: float, *, named: str | None = None
) -> StoryPass:
    """Create a pass from a request's loaded fields; `named` is the same for a repeat of it. Raises: `InvalidFields`."""
    until = int(data["until"])
    if until <= now:
        raise InvalidFields([("until", "must lie ahead")])
    wanted = PassRequest(data["story"], data["openings"], until, data["reason"])
    return passes.create(wanted, actor, now, pass_id=new_id("sp", now, named))

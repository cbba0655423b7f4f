"""Test what the service remembers of the stories that the site asks about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from service.adapters.redis.service_state.known_stories import KnownStories
from service.domain.catalogue import KnownStory, Story
from service.domain.errors import StoreUnavailable
from service.use_cases.access.story_memory import StoryMemory
from tests.store_servers import wait_until

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp, MakeApp

DAY, HOUR = 86_400, 3_600
WHOLE = {
    "id": "harbour",
    "section": "city",
    "tags": ["history", "port"],
    "published_at": "2026-11-20T09:00:00Z",
    "parts": ["facts", "notebook"],
    "tier": "supporters",
}
PUBLISHED = 1_795_165_200


def known(app: InProcessApp, story: str = "harbour") -> KnownStory | None:
    return app.service.stories.find(story, app.clock())


def described(app: InProcessApp, story: str = "harbour") -> Story:
    found = known(app, story)
    assert found is not None
    return found.story


def ask(app: InProcessApp, story: dict[str, Any], way: str = "hot") -> None:
    if way.startswith("batch"):
        answer = app.call("POST", "/v1/access/batch", {"stories": [{"id": "other"}, story]}, hot=way == "batch")
    else:
        answer = app.call("POST", "/v1/access", {"story": story}, hot=way == "hot")
    assert answer.status_code == 200
    app.service.stories.write_noted()  # as the background task does all the time


@pytest.mark.parametrize("way", ["hot", "view", "batch", "batch view"])
def test_asked_story_is_known_with_all_that_the_site_said(service_app: InProcessApp, way: str) -> None:
    ask(service_app, WHOLE, way)
    story = Story("harbour", "city", ("history", "port"), "supporters", PUBLISHED, ("facts", "notebook"))
    assert known(service_app) == KnownStory(story, int(service_app.clock()))


def test_story_that_another_process_wrote_is_noted_again(valkey_app: InProcessApp) -> None:
    one, other = (StoryMemory(valkey_app.service.store, valkey_app.clock) for _ in range(2))
    for number, tier in enumerate(("free", "supporters") * 4):
        memory = (one, other)[number % 2]
        memory.note([Story("s", tier=tier)])
        one.write_noted()
        other.write_noted()
        found = one.find("s", valkey_app.clock())
        assert found is not None
        assert found.story.tier == tier
        valkey_app.clock.now += 0.2


@pytest.mark.parametrize("way", ["hot", "view", "batch", "batch view"])
def test_changed_story_is_remembered_at_once_also_when_changed_back(valkey_app: InProcessApp, way: str) -> None:
    for tier in ("supporters", "free", "supporters", "metered", "supporters"):
        ask(valkey_app, {**WHOLE, "tier": tier}, way)
        assert described(valkey_app).tier == tier


def test_last_of_several_changes_before_a_write_is_remembered(valkey_app: InProcessApp) -> None:
    ask(valkey_app, WHOLE)
    assert described(valkey_app).tier == "supporters"
    for tier in ("free", "supporters", "free", "supporters"):
        assert valkey_app.call("POST", "/v1/access", {"story": {**WHOLE, "tier": tier}}).status_code == 200
    assert described(valkey_app).tier == "supporters"


def test_refused_question_is_not_remembered(valkey_app: InProcessApp) -> None:
    for story in ({"id": "x", "tier": "no-tier"}, {"id": "x", "tags": [" "]}):
        assert valkey_app.call("POST", "/v1/access", {"story": story}).status_code == 422
    assert valkey_app.call("POST", "/v1/access", {"story": {"id": "x"}, "reader": "a/b"}).status_code == 422
    assert valkey_app.call("POST", "/v1/access/batch", {"stories": [{"id": "x"}, {}]}).status_code == 422
    assert known(valkey_app, "x") is None


def test_unchanged_story_is_written_once_an_hour(valkey_app: InProcessApp) -> None:
    begun = valkey_app.clock.now = int(valkey_app.clock.now)
    for after, asked_at in ((0, 0), (60, 0), (HOUR - 120, 0), (HOUR, HOUR), (HOUR + 120, HOUR), (2 * HOUR, 2 * HOUR)):
        valkey_app.clock.now = begun + after
        valkey_app.service.stories.write_noted()
        ask(valkey_app, WHOLE)
        assert known(valkey_app) == KnownStory(described(valkey_app), begun + asked_at)


def test_story_is_forgotten_after_90_days(valkey_app: InProcessApp) -> None:
    ask(valkey_app, WHOLE)
    valkey_app.clock.now += 90 * DAY - 1
    assert known(valkey_app) is not None
    valkey_app.clock.now += 1
    assert known(valkey_app) is None
    ask(valkey_app, {"id": "another"})
    assert known(valkey_app, "another") is not None
    assert count(valkey_app) == (1, 1), "the next write deletes what is too old"


def count(app: InProcessApp) -> tuple[int, int]:
    """Return how many descriptions are stored, and how many moments."""
    keys, link = app.service.store.keys, app.service.store.link
    described, asked = keys.known_stories("described"), keys.known_stories("asked")
    return link.call(described, b"HLEN", described), link.call(asked, b"ZCARD", asked)


def test_store_keeps_the_stories_asked_about_last(valkey_app: InProcessApp) -> None:
    records = KnownStories(valkey_app.service.store, most=3)
    for number in range(8):
        records.save([KnownStory(Story(f"s-{number}"), 1_000 + number)], 1_000 + number)
    assert count(valkey_app) == (3, 3)
    assert [number for number in range(8) if records.find(f"s-{number}", 1_010)] == [5, 6, 7]


def test_keys_of_stories_expire_where_no_site_asks(valkey_app: InProcessApp) -> None:
    ask(valkey_app, WHOLE)
    assert known(valkey_app)
    for name in ("described", "asked"):
        key = valkey_app.service.store.keys.known_stories(name)
        assert 89 * DAY < valkey_app.service.store.link.call(key, b"TTL", key) <= 90 * DAY


def test_story_with_as_many_tags_as_a_request_takes_is_known(valkey_app: InProcessApp) -> None:
    tags = tuple(f"{number:0128}" for number in range(1_900))
    ask(valkey_app, {**WHOLE, "tags": tags})
    found = known(valkey_app)
    assert found is not None
    assert found.story.tags == tags


def test_process_notes_a_bounded_number_of_stories(valkey_app: InProcessApp) -> None:
    memory = StoryMemory(valkey_app.service.store, valkey_app.clock, most=4)
    for number in range(10):
        memory.note([Story(f"s-{number}")])
        memory.write_noted()
    assert list(memory.said) == [f"s-{number}" for number in range(6, 10)]
    assert memory.find("s-0", valkey_app.clock()) is not None


def test_process_notes_stories_up_to_a_size(valkey_app: InProcessApp) -> None:
    memory = StoryMemory(valkey_app.service.store, valkey_app.clock, most_bytes=50_000)
    for number in range(10):
        memory.note([Story(f"s-{number}", parts=tuple(f"{number}-{part:0100}" for part in range(100)))])
        memory.write_noted()
    assert list(memory.said) == ["s-8", "s-9"]
    memory.note([Story("s-8"), Story("s-9")])
    memory.write_noted()
    memory.note([Story(f"t-{number}") for number in range(80)])
    memory.write_noted()
    assert len(memory.said) == 82


def test_filling_store_gets_no_story_until_it_has_room(make_app: MakeApp, launch: Any) -> None:
    server = launch()
    app = make_app(server.url)
    link, used = app.service.store.link, server.admin().info("memory")["used_memory"]
    server.admin().config_set("maxmemory", int(used * 1.15))
    wait_until(lambda: link.memory().is_filling)
    ask(app, WHOLE)
    assert known(app) is None
    server.admin().config_set("maxmemory", "100mb")
    wait_until(lambda: not link.memory().is_filling)
    assert known(app) is not None


def test_story_asked_about_in_an_outage_is_written_after_it(make_app: MakeApp, launch: Any) -> None:
    server = launch()
    app = make_app(server.url, patience=0.5)
    server.end()
    asked_at = int(app.clock.now)
    assert app.call("POST", "/v1/access", {"story": WHOLE}).status_code == 200
    with pytest.raises(StoreUnavailable):
        app.service.stories.write_noted()
    app.clock.now += 60
    server.start()
    wait_until(lambda: app.service.store.link.available)
    found = known(app)
    assert found is not None
    assert found.asked_at == asked_at

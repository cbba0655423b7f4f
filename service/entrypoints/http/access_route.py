"""`POST /v1/access` and its batch ahead of Flask, for speed: the same rules and the same access check, in the event loop.

A request that is not plainly right (another content type, a chunked body, a wrong key, an invalid field) goes on to Flask,
and Flask's view answers what is wrong. A test holds both to the same answers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from service.adapters.redis.client.access import StoreAccess
from service.bootstrap import Service
from service.domain.catalogue import Story
from service.domain.ids import read_id, read_reader, read_text
from service.domain.times import read_time
from service.entrypoints.http.guards import Keyring
from service.entrypoints.http.inputs import MOST, is_json
from service.entrypoints.http.request_log import RequestLog
from service.entrypoints.http.rsgi_types import Headers
from service.entrypoints.responses.access import AccessWriter
from service.use_cases.access.check import AccessQuestion
from service.use_cases.reporting.comparisons import Show

PATH = "/v1/access"
BATCH_PATH = "/v1/access/batch"
MOST_IN_A_BATCH = 100

MOST_STORIES, LONGEST_STORY = 4_096, 1_024
"""How many stories are remembered as they were sent, and how long each may be in bytes."""

Text = str | None | UnsetType
Texts = list[str] | None | UnsetType


class _StoryIn(msgspec.Struct, forbid_unknown_fields=True):
    """`StoryIn` of `service.entrypoints.responses.access`."""

    id: str
    section: Text = UNSET
    tags: Texts = UNSET
    tier: Text = UNSET
    published_at: Text = UNSET
    parts: Texts = UNSET


class _ContextIn(msgspec.Struct, forbid_unknown_fields=True):
    """`ContextIn` of the same."""

    ip: Text = UNSET
    user_agent: Text = UNSET
    referrer: Text = UNSET
    country: Text = UNSET


class _AccessIn(msgspec.Struct, forbid_unknown_fields=True, rename={"token": "pass"}):
    """`AccessIn` of the same; the story as it was sent."""

    story: msgspec.Raw
    reader: Text = UNSET
    visitor: Text = UNSET
    count: bool | UnsetType | None = UNSET
    context: _ContextIn | UnsetType | None = UNSET
    explain: bool | UnsetType | None = UNSET
    token: Text = UNSET
    verified: bool | UnsetType | None = UNSET
    incumbent: Show | UnsetType | None = UNSET


class _BatchIn(msgspec.Struct, forbid_unknown_fields=True):
    """`BatchIn` of the same; the stories as they were sent."""

    stories: list[msgspec.Raw]
    reader: Text = UNSET
    visitor: Text = UNSET
    verified: bool | UnsetType | None = UNSET


_read_batch = msgspec.json.Decoder(_BatchIn).decode
_read_question = msgspec.json.Decoder(_AccessIn).decode
_read_story = msgspec.json.Decoder(_StoryIn).decode
remembered_reader, remembered_id = lru_cache(maxsize=8_192)(read_reader), lru_cache(maxsize=8_192)(read_id)
Value = TypeVar("Value")


def _quotes(*values: object) -> int:
    """Return how many quotes the JSON of these members of an object has: of names that are given, and of texts."""
    found = 0
    for value in values:
        if value is UNSET:
            continue
        found += 4 if value.__class__ is str else 2
        if isinstance(value, list):
            found += 2 * len(value)
    return found


def _read(read: Callable[[object], Value], value: Text) -> Value | None:
    return None if value is None or value is UNSET else read(value)


def _is_verified(verified: bool | UnsetType | None, reader: str | None) -> bool:
    """Return whether the reader is verified. Raises: `ValueError` where that is said of nobody."""
    if reader is None and verified.__class__ is bool:
        raise ValueError("verified without a reader")
    return verified is True


def _all(values: Texts) -> tuple[str, ...]:
    return tuple(map(remembered_id, values)) if values else ()


def _answer_headers(encoded: bytes, request_id: str) -> list[tuple[str, str]]:
    return [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(encoded))),
        ("Cache-Control", "private, no-store"),
        ("X-Request-Id", request_id),
    ]


class AccessRoute:
    """Answers the access route where the request is plainly right."""

    def __init__(self, service: Service, writer: AccessWriter, keyring: Keyring, log: RequestLog) -> None:
        self._access_check = service.access_check
        self._tiers = service.access_check.catalogue.tiers
        self._writer = writer
        self._keyring = keyring
        self._log = log
        self._clock = service.clock
        self._count = service.usage_counters.count_answer
        self._compare = service.comparisons.compare
        self._stories: dict[bytes, Story] = {}
        self._said, self._asked = service.stories.said, service.stories.asked

    def takes(self, headers: Headers) -> bool:
        """Return whether a request with these headers is plain: one site key, and JSON of a known, small length."""
        keys = headers.get_all("authorization")
        length = headers.get("content-length") or ""
        return (
            len(keys) == 1
            and self._keyring.is_site_header(keys[0])
            and length.isascii()
            and length.isdigit()
            and int(length) <= MOST
            and "transfer-encoding" not in headers
            and ((kind := headers.get("content-type")) == "application/json" or is_json(kind))
        )

    async def respond(
        self, store: StoreAccess, content: bytes, headers: Headers
    ) -> tuple[bytes, list[tuple[str, str]]] | None:
        """Return the body and the headers of the answer; `None` where Flask has to answer."""
        begun = self._log.begin()
        if len(content) != int(headers["content-length"]):
            return None
        try:
            question, explained, incumbent = self._question(content)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        self._note(question.story)
        try:
            answer = await self._access_check.answer(store, question, self._clock())
            encoded, decision_id = await self._writer.encode_in_loop(store, answer, explained=explained)
        except Exception:  # Flask's view meets an unexpected error again; it is logged and answered there.
            return None
        self._count(answer)
        if incumbent:
            self._compare(incumbent, answer, decision_id)
        shown = answer.decision
        given = headers.get("x-request-id")
        request_id = self._log.end(begun, PATH, "POST", 200, given, show=shown.show, reason=shown.reason)
        return encoded, _answer_headers(encoded, request_id)

    async def respond_batch(
        self, store: StoreAccess, content: bytes, headers: Headers
    ) -> tuple[bytes, list[tuple[str, str]]] | None:
        """Return the same for a batch."""
        begun = self._log.begin()
        if len(content) != int(headers["content-length"]):
            return None
        try:
            questions = self._batch(content)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        for question in questions:
            self._note(question.story)
        try:
            answers = await self._access_check.answer_all(store, questions, self._clock())
            rows = [(await self._writer.encode_in_loop(store, answer, explained=False))[0] for answer in answers]
            encoded = b'{"decisions":[%b]}' % b",".join(rows)
        except Exception:  # as in `respond`
            return None
        for answer in answers:
            self._count(answer)
        request_id = self._log.end(begun, BATCH_PATH, "POST", 200, headers.get("x-request-id"))
        return encoded, _answer_headers(encoded, request_id)

    def _batch(self, body: bytes) -> list[AccessQuestion]:
        """Return the questions of a batch. Raises: as `_question`."""
        asked = _read_batch(body)
        raws = [bytes(story) for story in asked.stories]
        quotes = 2 + sum([raw.count(b'"') for raw in raws]) + _quotes(asked.reader, asked.visitor, asked.verified)
        if quotes != body.count(b'"') or b"\\" in body or not 1 <= len(raws) <= MOST_IN_A_BATCH:
            raise ValueError("a member is given twice, or there is an escape, or too few or many stories")
        reader, visitor = _read(remembered_reader, asked.reader), _read(remembered_id, asked.visitor)
        verified = _is_verified(asked.verified, reader)
        stories = [self._stories.get(raw) or self._story(raw) for raw in raws]
        return [AccessQuestion(story, reader, visitor, count=False, verified=verified) for story in stories]

    def _question(self, body: bytes) -> tuple[AccessQuestion, bool, Show | UnsetType | None]:
        """Return what is asked, whether with an explanation, and what the incumbent showed.

        Raises: `ValueError`, `MsgspecError` if in doubt.

        msgspec takes the last of two members with one name. In JSON without escapes, each name and each text has two quotes:
        if there are more quotes than those of what was read, a member was given twice.
        """
        asked = _read_question(body)
        raw = bytes(asked.story)
        reader, visitor, token, context = asked.reader, asked.visitor, asked.token, asked.context
        given = (reader, visitor, token, context, asked.count, asked.explain, asked.verified, asked.incumbent)
        quotes = 2 + raw.count(b'"') + _quotes(*given)
        agent: Text = None
        address: Text = None
        if isinstance(context, _ContextIn):
            texts = (context.ip, context.user_agent, context.referrer, context.country)
            quotes += _quotes(*texts)
            for text in texts:
                _read(read_text, text)
            agent, address = context.user_agent, context.ip
        if quotes != body.count(b'"') or b"\\" in body:
            raise ValueError("a member is given twice, or there is an escape")
        token = _read(read_text, token)
        reader = remembered_reader(reader) if reader.__class__ is str else None
        question = AccessQuestion(
            self._stories.get(raw) or self._story(raw),
            reader,
            remembered_id(visitor) if visitor.__class__ is str else None,
            asked.count is not False,
            token,
            agent if token is not None and isinstance(agent, str) else None,
            address if isinstance(address, str) else None,
            _is_verified(asked.verified, reader),
        )
        return question, asked.explain is True, asked.incumbent

    def _note(self, story: Story) -> None:
        """Note that the site asks about a story: `StoryMemory.note` in this file, without a comparison of fields."""
        if self._said.get(story.id) is not story:
            self._said[story.id] = story
            self._asked.append(story)

    def _story(self, raw: bytes) -> Story:
        """Return a story, and remember it. Raises: as `_question`."""
        found = _read_story(raw)
        if raw.count(b'"') != _quotes(found.id, found.section, found.tags, found.tier, found.published_at, found.parts):
            raise ValueError("a member is given twice")
        tier = _read(read_id, found.tier)
        if tier is not None and tier not in self._tiers:
            raise ValueError("no such tier")
        story = Story(
            read_id(found.id),
            _read(read_id, found.section),
            _all(found.tags),
            tier,
            _read(read_time, found.published_at),
            _all(found.parts),
        )
        if len(self._stories) >= MOST_STORIES:
            self._stories.clear()
        if len(raw) <= LONGEST_STORY:
            self._stories[raw] = story
        return story

"""Test that the access route and Flask's view give the same status and body for any request.

`Bearer` takes the hot route, `bearer` is left to Flask; nothing else differs.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

if TYPE_CHECKING:
    from tests.in_process_app import InProcessApp

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["", " a", "a/b", "\ud800", "a\u202e", "é" * 65, "2026-11-20T09:00:00Z", "metered", "facts"])
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
TIERS = ["free", "metered", "supporters", "slow", "events", "weekly", "signed_in", "members", "registered"]
ids = st.sampled_from(["a", "b", "r-1042", "é", "x" * 128])
stories = st.fixed_dictionaries(
    {"id": ids},
    optional={
        "section": st.none() | st.sampled_from(["public-safety", "city"]),
        "tags": st.none() | st.lists(st.sampled_from(["archive", "harbour"]), max_size=3),
        "tier": st.none() | st.sampled_from(TIERS),
        "published_at": st.none() | st.datetimes().map(lambda moment: moment.isoformat() + "Z"),
        "parts": st.none() | st.lists(st.sampled_from(["facts", "notebook", "docs"]), max_size=4),
    },
)
questions = st.fixed_dictionaries(
    {"story": stories},
    optional={
        "reader": st.none() | st.sampled_from(["entitled", "r", "s", "é"]),
        "visitor": st.none() | st.sampled_from(["v", "w"]),
        "verified": st.none() | st.booleans(),
        "count": st.none() | st.booleans(),
        "explain": st.none() | st.booleans(),
        "context": st.none() | st.dictionaries(st.sampled_from(["ip", "country"]), st.none() | st.text(max_size=5)),
        "pass": st.none() | st.text(max_size=5),
        "incumbent": st.none() | st.sampled_from(["full", "upsell"]),
    },
)


@st.composite
def spoiled(draw: st.DrawFn) -> Any:
    """Return a request in which one value, anywhere, is replaced."""
    question = draw(questions)
    place: Any = question if draw(st.booleans()) else question["story"]
    key = draw(st.sampled_from([*place, "more", "\ud800"]) if draw(st.booleans()) else st.sampled_from(list(place)))
    value = draw(anything)
    if isinstance(place.get(key), list) and draw(st.booleans()):
        place[key] = [*place[key], value]
    else:
        place[key] = value
    return question


def summary_of(answer: TestResponse) -> tuple[int, Any, str | None, str | None]:
    text = re.sub(r'"decision_id":"[^"]*"', '"decision_id":"…"', answer.text)
    # The second request finds the story counted.
    text = re.sub(r'"counted":(true|false)', '"counted":…', text)
    return answer.status_code, text, answer.headers.get("Content-Type"), answer.headers.get("Cache-Control")


def both(
    app: InProcessApp, body: bytes, kind: str = "application/json", path: str = "/v1/access"
) -> tuple[int, Any, str | None, str | None]:
    hot, cold = (
        summary_of(app.call("POST", path, hot=hot, data=body, headers={"Content-Type": kind})) for hot in (True, False)
    )
    assert cold == hot
    assert hot[0] < 500
    return hot


def _readers(app: InProcessApp) -> None:
    if not app.reader("entitled")["access"]:
        app.grant("entitled")


@given(questions)
def test_valid_request_gets_the_same_answer_from_both_routes(
    valkey_app: InProcessApp, question: dict[str, Any]
) -> None:
    _readers(valkey_app)
    # The second request finds the story counted by the first; only an explanation shows the difference.
    question.pop("explain", None)
    stray = question.get("verified") is not None and question.get("reader") is None
    assert both(valkey_app, json.dumps(question).encode())[0] == (422 if stray else 200)


@given(questions)
def test_explained_request_gets_the_same_answer_from_both_routes(
    valkey_app: InProcessApp, question: dict[str, Any]
) -> None:
    _readers(valkey_app)
    if question.get("reader") is None:
        question.pop("verified", None)
    assert both(valkey_app, json.dumps(question | {"count": False, "explain": True}).encode())[1].endswith("]}")


@given(spoiled() | questions.map(lambda question: {**question, "explain": None}))
def test_mutated_request_gets_the_same_answer_from_both_routes(valkey_app: InProcessApp, question: Any) -> None:
    if isinstance(question.get("explain"), bool):
        question["explain"] = False
    both(valkey_app, json.dumps(question).encode())


def as_text(draw: st.DrawFn, value: Any) -> str:
    """Return JSON in which members can be given twice, with the same or another value, and with any spaces."""
    space = draw(st.sampled_from(["", " ", "\n\t"]))
    if isinstance(value, dict):
        members = [(name, part) for name, part in value.items()]
        if members and draw(st.integers(0, 3)) == 0:
            name, part = draw(st.sampled_from(members))
            members.insert(draw(st.integers(0, len(members))), (name, draw(st.sampled_from([part, None, "a"]))))
        inner = ",".join(f"{space}{json.dumps(name)}:{as_text(draw, part)}" for name, part in members)
        return f"{{{inner}{space}}}"
    if isinstance(value, list):
        return f"[{','.join(as_text(draw, part) for part in value)}{space}]"
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    question = draw(questions)
    question.pop("explain", None)
    return as_text(draw, question).encode("utf-8", "surrogatepass")


@given(texts())
def test_members_given_twice_get_the_same_answer_from_both_routes(valkey_app: InProcessApp, body: bytes) -> None:
    _readers(valkey_app)
    both(valkey_app, body)


@st.composite
def batches(draw: st.DrawFn) -> bytes:
    asked: dict[str, Any] = {"stories": draw(st.lists(stories, max_size=4))}
    kinds = {"reader": st.sampled_from([None, "entitled", "r"]), "visitor": st.sampled_from([None, "v"])}
    for name, kind in {**kinds, "verified": st.sampled_from([None, True, False])}.items():
        if draw(st.booleans()):
            asked[name] = draw(kind)
    if draw(st.integers(0, 4)) == 0:
        asked[draw(st.sampled_from(["stories", "reader", "verified", "more"]))] = draw(anything)
    return as_text(draw, asked).encode("utf-8", "surrogatepass")


@given(batches())
def test_batch_gets_the_same_answer_from_both_routes(valkey_app: InProcessApp, body: bytes) -> None:
    _readers(valkey_app)
    both(valkey_app, body, path="/v1/access/batch")


@given(anything)
def test_random_json_gets_the_same_answer_from_both_routes(valkey_app: InProcessApp, value: Any) -> None:
    assert both(valkey_app, json.dumps(value).encode())[0] in (400, 422)


@given(st.binary(max_size=60) | st.sampled_from([b"", b"{", b'{"story": {"id": "a"}, "story": {}}', b"[" * 5_000]))
def test_random_bytes_get_the_same_answer_from_both_routes(valkey_app: InProcessApp, body: bytes) -> None:
    both(valkey_app, body)


@pytest.mark.parametrize(
    "kind",
    ["application/json; charset=utf-8", "Application/JSON", "text/plain", "", "application/json x", ";", "a/b;c"],
)
def test_any_content_type_gets_the_same_answer_from_both_routes(valkey_app: InProcessApp, kind: str) -> None:
    both(valkey_app, b'{"story": {"id": "a"}, "visitor": "v"}', kind)


def test_oversized_body_gets_the_same_answer_from_both_routes(valkey_app: InProcessApp) -> None:
    assert both(valkey_app, b'{"story": {"id": "a"}}' + b" " * 262_144)[0] == 413

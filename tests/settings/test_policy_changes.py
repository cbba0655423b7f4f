"""Change a full `paywall.toml` in every place: the result is a policy or a list of mistakes."""

from __future__ import annotations

import copy
import datetime
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.settings.validation import SettingsError
from tests.policies import parse_catalogue

WHOLE = Path(__file__).with_name("whole.toml").read_text("utf-8")
OPTIONAL = {"rules", "offers", "stripe", "failure", "grants", "prices", "products", "grace_days", "pass_hours", "seats"}
OPTIONAL |= {"gifts_per_month", "requires", "open_parts", "meter", "sections", "tags", "older_than", "newer_than"}
OPTIONAL |= {"links", "livemode", "leeway_hours", "known_for", "longest", "confirm_above", "length"}
OPTIONAL |= {"providers", "largest_drop", "expected_every"}
Path_ = tuple[str | int, ...]


def whole() -> dict[str, Any]:
    return tomllib.loads(WHOLE)


def toml(value: object) -> str:
    """Return a document as TOML with inline tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return repr(value).lower()


def written(document: dict[str, Any]) -> str:
    return "\n".join(f"{json.dumps(key)} = {toml(value)}" for key, value in document.items())


def paths(value: object, path: Path_ = ()) -> Iterator[Path_]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from paths(each, (*path, key))


def at(document: Any, path: Path_) -> Any:
    for key in path:
        document = document[key]
    return document


def place(path: Path_) -> str:
    return "paywall.toml: " + ".".join(map(str, path))


def found_in(text: str) -> dict[str, str]:
    """Return the mistakes as place → message. Any exception but `SettingsError` fails the test."""
    try:
        parse_catalogue(text)
    except SettingsError as error:
        return {mistake.where: mistake.message for mistake in error.mistakes}
    return {}


def is_printable(found: dict[str, str]) -> bool:
    return all(where.isprintable() and message.isprintable() and message for where, message in found.items())


PATHS = list(paths(whole()))
WRONG = [7, -1, 1.5, True, "no such thing!\n", [], {}, datetime.date(2026, 12, 1), ["\x07"], {"\x07": 1}, 10**30]


def places_after_dropping(path: Path_) -> list[str]:
    """Return the places of the mistakes that follow from dropping `path`."""
    key, parent = path[-1], at(whole(), path[:-1])
    if path == ("meters",) or path[:3] == ("tiers", "metered", "requires"):
        return ["paywall.toml: tiers.metered.meter"]
    if isinstance(key, int):
        lists = (("plans", "features"), ("rules", "sections"), ("rules", "tags"), ("offers", "plans"))
        return [place(path[:-1])] if len(parent) == 1 and (path[0], path[-2]) in lists else []
    if len(path) == 2 and path[0] in ("features", "plans", "tiers", "meters"):
        return [place(each) for each in PATHS if at(whole(), each) == key]
    optional = key in OPTIONAL or path[0] in ("failure", "grants") or path[:-1] in (("offers",), ("providers",))
    return [] if optional else [place(path)]


@pytest.mark.parametrize("path", PATHS, ids=place)
def test_dropped_key_is_accepted_or_named(path: Path_) -> None:
    document = whole()
    del at(document, path[:-1])[path[-1]]
    expected = places_after_dropping(path)
    found = found_in(written(document))
    # A missing table also causes mistakes where others refer to it.
    assert set(expected) <= set(found) if len(path) == 1 else expected == list(found), found


@pytest.mark.full
@pytest.mark.parametrize("path", PATHS, ids=place)
def test_value_of_wrong_type_is_named_with_its_place(path: Path_) -> None:
    for wrong in WRONG:
        document = whole()
        was = at(document, path)
        at(document, path[:-1])[path[-1]] = wrong
        if type(was) is type(wrong):
            continue
        found = found_in(written(document))
        assert place(path) in found, (wrong, found)


@given(path=st.sampled_from(PATHS), wrong=st.sampled_from(WRONG) | st.text() | st.integers() | st.lists(st.text()))
def test_single_change_raises_only_settings_error(path: Path_, wrong: object) -> None:
    document = copy.deepcopy(whole())
    at(document, path[:-1])[path[-1]] = wrong
    assert is_printable(found_in(written(document)))


LEAVES = st.booleans() | st.integers() | st.floats() | st.text() | st.dates()
KEYS = st.sampled_from([*whole(), *sorted(OPTIONAL)]) | st.text(max_size=5)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=6)


@given(DOCUMENTS)
def test_random_document_raises_only_settings_error(document: dict[str, Any]) -> None:
    found = found_in(written(document))
    assert found
    assert is_printable(found)


@given(st.text() | st.text("[]{}=\"'#\n.abc1-:"))
def test_random_text_raises_only_settings_error(text: str) -> None:
    found = found_in(text)
    assert found
    assert is_printable(found)


def shuffled(value: Any) -> Any:
    """Return the document with reversed keys, except where readers see the order."""
    if isinstance(value, list):
        return [shuffled(each) for each in value]
    if not isinstance(value, dict):
        return value
    ordered = {"features", "plans", "offers"}
    turned = {
        key: {name: shuffled(each) for name, each in table.items()}
        if key in ordered and isinstance(table, dict)
        else shuffled(table)
        for key, table in value.items()
    }
    return dict(reversed(turned.items()))


def test_revision_ignores_comments_key_order_and_explicit_defaults() -> None:
    revision = parse_catalogue(WHOLE).revision
    assert parse_catalogue(written(tomllib.loads(WHOLE))).revision == revision
    assert parse_catalogue(written(shuffled(tomllib.loads(WHOLE)))).revision == revision
    assert parse_catalogue(WHOLE.replace("seats = true", "seats = true\ngrace_days = 14")).revision == revision
    assert parse_catalogue(WHOLE.replace('known_for = "24h"', 'known_for = "1d"')).revision == revision


@pytest.mark.full
@pytest.mark.parametrize("path", [path for path in PATHS if isinstance(at(whole(), path), (int, bool))], ids=place)
def test_revision_changes_with_every_number(path: Path_) -> None:
    document = whole()
    was = at(document, path)
    at(document, path[:-1])[path[-1]] = not was if isinstance(was, bool) else was + 1
    assert parse_catalogue(written(document)).revision != parse_catalogue(written(whole())).revision


def test_revision_changes_with_the_order_of_features() -> None:
    document = whole()
    document["features"] = dict(reversed(document["features"].items()))
    assert parse_catalogue(written(document)).revision != parse_catalogue(written(whole())).revision


def test_every_policy_key_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "configuration.md").read_text("utf-8")
    chosen = {
        key for table in ("features", "plans", "tiers", "meters", "offers", "providers") for key in whole()[table]
    }
    keys = {str(key) for path in PATHS for key in path if not isinstance(key, int)} - chosen
    assert [
        key for key in sorted(keys) if f"`{key}`" not in text and f"[{key}]" not in text and f"[{key}." not in text
    ] == []

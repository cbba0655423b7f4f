"""Test the rules for IDs, key names and reasons, and how text from outside is shown in a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from service.domain import ids

Read = Callable[[object], Any]


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (ids.read_id, "a"),
        (ids.read_id, "two words/and a slash"),
        (ids.read_id, "ä" * 64),
        (ids.read_reader, "r-1@example.org"),
        (ids.read_customer, "cus_9sXYZ_1"),
        (ids.read_subscription, "sub_1"),
        (ids.read_key_name, "desk-2"),
        (ids.read_text, "x" * 8_192),
        (ids.read_reason, " press card "),
        (ids.read_reason, "x" * 1_000),
    ],
)
def test_value_within_the_rules_is_returned_as_it_is(read: Read, value: str) -> None:
    assert read(value) == value


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (ids.read_id, 1, "must be a string"),
        (ids.read_id, "", "must not be empty"),
        (ids.read_id, "a\u202eb", "control or direction characters"),
        (ids.read_id, " a", "begin or end with a space"),
        (ids.read_id, "a ", "begin or end with a space"),
        (ids.read_id, "ä" * 64 + "b", "at most 128 bytes"),
        (ids.read_reader, "a/b", "must not hold a slash"),
        (ids.read_customer, "sub_1", "must begin with cus_"),
        (ids.read_subscription, "sub_1/2", "must begin with sub_"),
        (ids.read_key_name, "cli:ann", "a person who uses the command line"),
        (ids.read_key_name, "oidc:ann", "a person who signs in by OpenID Connect"),
        (ids.read_key_name, "site:web", "a site key"),
        (ids.read_text, None, "must be a string"),
        (ids.read_text, "x" * 8_193, "at most 8192 characters"),
        (ids.read_text, "\ud800", "half a surrogate pair"),
        (ids.read_reason, " \n", "must say why"),
        (ids.read_reason, "x" * 1_001, "at most 1000 characters"),
    ],
)
def test_value_outside_the_rules_is_refused_with_the_reason(read: Read, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(value)


def test_wrong_reader_id_is_named_and_a_right_one_is_not() -> None:
    assert ids.wrong_reader_id("a/b") == "must not hold a slash"
    assert ids.wrong_reader_id("") == "must not be empty"
    assert ids.wrong_reader_id("r-1") is None


def test_only_people_without_a_key_have_personal_names() -> None:
    assert [ids.is_personal_name(name) for name in ("cli:ann", "oidc:ann", "ann")] == [True, True, False]


def test_escaped_text_keeps_lines_and_shows_what_would_move_or_color_it() -> None:
    assert ids.escape_invisible("a\n\tb\x1b[31m\u202e") == "a\n\tb\\x1b[31m\\u202e"

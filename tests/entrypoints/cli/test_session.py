"""Test what commands share."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.domain.ids import escape_invisible
from service.entrypoints.cli import readers, session


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        ([], "none"),
        (True, "true"),
        (5, "5"),
        (["notebook", "no_ads"], "notebook no_ads"),
        ({"feature": "notebook", "until": None, "source": "grant:gr_1"}, "notebook (until no end)"),
        (
            [{"reader": "r-1", "before": [], "after": [{"feature": "no_ads", "until": "2027-01-01T00:00:00Z"}]}],
            "reader r-1, before none, after no_ads (until 2027-01-01T00:00:00Z)",
        ),
    ],
)
def test_value_is_printed_in_words_and_not_as_python(value: Any, text: str) -> None:
    assert session.in_words(value) == text


def test_export_on_a_terminal_stays_json_whatever_a_reason_holds() -> None:
    found = {"reason": "a\x7fb\x85c\x1bd\u202eé"}
    shown = escape_invisible(readers.as_json(found))
    assert json.loads(shown) == found
    assert "é" in shown

"""Test that every word for an outage is known, so that its counter exists before the first outage."""

from __future__ import annotations

import ast
from pathlib import Path

from service.adapters.redis.client import opening
from service.adapters.redis.client.errors import OUTAGE_WORDS

CLIENT = Path(opening.__file__).parent
BREAKER_OPEN = {"closed", "open"}
"""Words of calls that fail because the breaker is open already."""


def test_every_word_for_an_outage_has_a_counter_from_the_start() -> None:
    raised = {
        node.args[0].value
        for file in CLIENT.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "StoreUnavailable"
        and isinstance(node.args[0], ast.Constant)
    }
    assert "timeout" in raised
    assert (raised | set(opening._CONNECT_ERRORS.values())) - BREAKER_OPEN <= set(OUTAGE_WORDS)

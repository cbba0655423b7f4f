"""Every reason of a take-over has its words."""

from __future__ import annotations

from typing import get_args

from service.entrypoints.responses.takeover import REASONS
from service.use_cases.takeover.reasons import TakeoverReason


def test_every_reason_has_a_text() -> None:
    assert set(REASONS) == set(get_args(TakeoverReason))
    assert all(said.text and not said.text.endswith(".") for said in REASONS.values())
    assert all(not said.advice or said.advice.endswith(".") for said in REASONS.values())

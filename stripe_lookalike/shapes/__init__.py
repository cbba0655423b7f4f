"""Blank objects: every field that Stripe sends (API 2026-10-28.endive), at its resting value."""

from __future__ import annotations

import copy
import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def _load(name: str) -> dict[str, Any]:
    shape: dict[str, Any] = json.loads(resources.files(__package__).joinpath(f"{name}.json").read_text("utf-8"))
    return shape


def blank(name: str, /, **fields: Any) -> dict[str, Any]:
    """A fresh copy of the shape `name`, with `fields` set. A field that the shape lacks is a slip, and refused."""
    made = copy.deepcopy(_load(name))
    strange = fields.keys() - made.keys()
    if strange:
        raise KeyError(f"{name} has no {', '.join(sorted(strange))}")
    made.update(fields)
    return made

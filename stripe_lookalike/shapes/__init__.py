"""Blank objects: every field that Stripe sends (API 2026-10-28.endive), with its default value."""

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
    """Return a copy of the shape `name` with `fields` set. Raises: `KeyError` for a field that the shape lacks."""
    shape = copy.deepcopy(_load(name))
    unknown = fields.keys() - shape.keys()
    if unknown:
        raise KeyError(f"{name} has no {', '.join(sorted(unknown))}")
    shape.update(fields)
    return shape

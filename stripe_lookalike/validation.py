"""Validate the bodies of the control routes against the dataclasses that hold them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from stripe_lookalike.errors import Json, invalid


def validate_fields(kind: type[Any], given: Json) -> Json:
    """Return `given` if each name is a field of `kind` and each value has its type.

    Raises: `ApiError` 400 that names the field otherwise.
    """
    annotations = {known.name: str(known.type) for known in fields(kind)}
    unknown = given.keys() - annotations.keys()
    if unknown:
        raise invalid(f"Unknown: {', '.join(sorted(unknown))}. Known: {', '.join(annotations)}.")
    for name, value in given.items():
        if not any(_fits(value, part.strip()) for part in annotations[name].split("|")):
            raise invalid(f"{name} must be {annotations[name]}.", name)
    return given


def _fits(value: Any, annotation: str) -> bool:
    if annotation.startswith("list["):
        return isinstance(value, list) and all(_fits(inner, annotation[5:-1]) for inner in value)
    if annotation == "None":
        return value is None
    if annotation == "bool" or isinstance(value, bool):
        return annotation == "bool" and isinstance(value, bool)
    wanted: tuple[type, ...] = {"float": (int, float), "int": (int,), "str": (str,)}[annotation]
    return isinstance(value, wanted)

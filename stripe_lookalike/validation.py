"""Checks of what somebody asks of the control routes, against the dataclass that will hold it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from stripe_lookalike.errors import Json, invalid


def checked(kind: type[Any], given: Json) -> Json:
    """`given`, if each name is a field of `kind` and each value of its type; else a 400 that says which is not."""
    annotations = {known.name: str(known.type) for known in fields(kind)}
    strange = given.keys() - annotations.keys()
    if strange:
        raise invalid(f"Unknown: {', '.join(sorted(strange))}. Known: {', '.join(annotations)}.")
    for name, value in given.items():
        if not any(_fits(value, part.strip()) for part in annotations[name].split("|")):
            raise invalid(f"{name} has to be {annotations[name]}.", name)
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

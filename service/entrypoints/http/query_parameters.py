"""The parameters in a route's query: those that it takes, each at most once."""

from __future__ import annotations

from collections.abc import Collection

from flask import request

from service.domain.errors import InvalidFields


def wrong_names(names: Collection[str]) -> list[tuple[str, str]]:
    """Return each parameter that is not among `names` or given more than once, and what is wrong with it."""
    return [
        (name, "is given more than once" if name in names else "is not a parameter of this route")
        for name, given in request.args.lists()
        if name not in names or len(given) > 1
    ]


def taken(*names: str) -> dict[str, str]:
    """Return what is given of `names`. Raises: `InvalidFields` for every other parameter, and for a repeated one."""
    if wrong := wrong_names(names):
        raise InvalidFields(wrong)
    return request.args.to_dict()


def flag(name: str, *also: str) -> bool:
    """Return a parameter that is true or false, and false by default; the route takes `also` besides."""
    given = taken(name, *also).get(name, "false")
    if given not in ("true", "false"):
        raise InvalidFields([(name, "must be true or false")])
    return given == "true"

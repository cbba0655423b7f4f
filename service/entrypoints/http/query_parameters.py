"""The parameters in a route's query: those that it takes, each at most once."""

from __future__ import annotations

from flask import request

from service.entrypoints.http.errors import invalid


def taken(*names: str) -> dict[str, str]:
    """What is given of `names`. `Problem` 422 for every other parameter, and for one that is given more than once."""
    wrong = [
        (name, "is given more than once" if name in names else "is not a parameter of this route")
        for name, given in request.args.lists()
        if name not in names or len(given) > 1
    ]
    if wrong:
        raise invalid(wrong)
    return request.args.to_dict()

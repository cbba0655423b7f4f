"""Lists: newest first, filtered, and paged with `starting_after` and `ending_before`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from stripe_lookalike.errors import Json, invalid
from stripe_lookalike.params import Params

PAGING = ("limit", "starting_after", "ending_before")


def newest_first(rows: Iterable[Json]) -> list[Json]:
    """Sort rows by `created`, newest first; within a second, the one added last comes first."""
    return sorted(rows, key=lambda row: int(row.get("created", 0)))[::-1]


def page(url: str, rows: list[Json], params: Params, keep: Callable[[Json], bool] = lambda row: True) -> Json:
    """Return one page of `rows`, which are all rows in the list's order. `keep` filters them."""
    limit = params.integer("limit", 10) or 0
    if not 1 <= limit <= 100:
        raise invalid("Limit must be between 1 and 100", "limit", "parameter_invalid_integer")
    after, before = params.text("starting_after"), params.text("ending_before")
    if after and before:
        raise invalid("You cannot use both starting_after and ending_before.", "ending_before")
    if after:
        rest = _kept(rows[_place(rows, after, "starting_after") + 1 :], keep, limit)
        found = rest[:limit]
    elif before:
        rest = _kept(reversed(rows[: _place(rows, before, "ending_before")]), keep, limit)
        found = rest[:limit][::-1]
    else:
        rest = _kept(rows, keep, limit)
        found = rest[:limit]
    return {"object": "list", "data": found, "has_more": len(rest) > limit, "url": url}


def _kept(rows: Iterable[Json], keep: Callable[[Json], bool], limit: int) -> list[Json]:
    """Return the first `limit` rows that pass, and one more as a sign for `has_more`."""
    found: list[Json] = []
    for row in rows:
        if keep(row):
            found.append(row)
            if len(found) > limit:
                break
    return found


def _place(rows: list[Json], object_id: str, param: str) -> int:
    for n, row in enumerate(rows):
        if row["id"] == object_id:
            return n
    raise invalid(f"No such object: '{object_id}'", param, "resource_missing")


def time_filter(params: Params, name: str) -> Callable[[int], bool]:
    """Return the filter of a parameter such as `created=…` or `created[gte]=…&created[lt]=…`."""
    asked: Any = params.values.get(name)
    if asked is None or asked == "":
        return lambda moment: True
    if isinstance(asked, str):
        exact = params.integer(name)
        return lambda moment: moment == exact
    span = params.inner(name)
    gt, gte, lt, lte = (span.integer(key) for key in ("gt", "gte", "lt", "lte"))
    return lambda moment: (
        (gt is None or moment > gt)
        and (gte is None or moment >= gte)
        and (lt is None or moment < lt)
        and (lte is None or moment <= lte)
    )


def field_filter(params: Params, *names: str) -> Callable[[Json], bool]:
    """Return a filter: the fields equal the parameters of the same names, and `created` is in the given range."""
    wanted = {name: value for name in names if (value := params.text(name)) is not None}
    created = time_filter(params, "created")
    return lambda row: (
        created(int(row.get("created", 0))) and all(row.get(name) == value for name, value in wanted.items())
    )


def filtered_page(url: str, rows: Iterable[Json], params: Params, *names: str) -> Json:
    """Return a page of `rows`, newest first, filtered by `field_filter`."""
    return page(url, newest_first(rows), params, field_filter(params, *names))

"""Read what a request brings: its body, whose type, size, JSON and schema are checked in that order, and its query."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Any

from flask import g, request
from marshmallow import Schema

from service.domain.errors import InvalidFields
from service.entrypoints.responses.errors import Problem
from service.entrypoints.responses.fields import Check, NothingIn, ReasonMaybeIn, check

MOST = 256 * 1024
"""Bytes of a body; the webhook and the import have limits of their own."""


class NotJson(ValueError):
    """The body is not JSON as the contract defines it; the message says why without repeating it."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise NotJson(f"the key {name[:40]!r} is given twice in one object")
            seen.add(name)
    return found


def _no_constant(word: str) -> Any:
    raise NotJson(f"{word} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)


def parse_json(body: bytes) -> Any:
    """Return the JSON value of a UTF-8 body: no NaN, no key twice in an object, no endless nesting.

    Raises:
        NotJson: The body is not such JSON.
    """
    if not body:
        raise NotJson("the body is empty")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJson(f"the body is not UTF-8 (byte {error.start})") from None
    if text.startswith("\ufeff"):
        raise NotJson("it begins with a byte order mark, which must be left out")
    try:
        return _decoder.decode(text)
    except json.JSONDecodeError as error:
        raise NotJson(f"{error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise NotJson("it is nested too deep") from None
    except NotJson:
        raise
    except ValueError:
        raise NotJson("a number in it is too long") from None


def raw(most: int = MOST) -> bytes:
    """Return the body as it came, also a chunked one; a second call returns the same.

    Raises: `Problem` 413 beyond `most` bytes, 400 for a body that ends before its Content-Length. The server does not
    report a chunked body that was cut.
    """
    kept: bytes | None = g.get("body")
    if kept is None:
        kept = g.body = _read(most)
    return kept


def check_declared_length(most: int) -> int | None:
    """Return the Content-Length. Raises: `Problem` 413 beyond `most` bytes."""
    declared = request.content_length
    if declared is not None and declared > most:
        raise Problem(413, f"The body has {declared} bytes; at most {most} are taken.")
    return declared


def _read(most: int) -> bytes:
    declared = check_declared_length(most)
    body = request.stream.read(most + 1) if declared is None else request.stream.read(declared)
    if declared is not None and len(body) < declared:
        raise Problem(400, f"The body ended after {len(body)} of {declared} bytes; send it again.")
    if len(body) > most:
        raise Problem(413, f"The body has more than {most} bytes.")
    return bytes(body)


def is_json(content_type: str | None) -> bool:
    """Return whether a Content-Type is JSON, whatever its parameters."""
    return (content_type or "").partition(";")[0].strip().lower() == "application/json"


def load(schema: type[Schema], *, optional: bool = False, further: Check | None = None) -> dict[str, Any]:
    """Return the body as a schema loads it. With `optional`, and from admins, a missing body is an empty object.

    Raises: `Problem` 415, 413, 400; `InvalidFields`.
    """
    if not is_json(request.content_type):
        # An admin who sends no body needs no Content-Type: the answer names the fields that are missing.
        is_bare = optional or (not request.content_type and g.principal.role != "site")
        if not is_bare or raw():
            raise Problem(415, "Send the body as application/json (a missing Content-Type is refused too).")
        return check(schema, {})
    body = raw()
    if optional and not body:
        return check(schema, {})
    try:
        value = parse_json(body)
    except NotJson as error:
        raise Problem(400, f"The body is not JSON: {error}.") from None
    return check(schema, value, further)


def reason(schema: type[Schema], query: Mapping[str, str]) -> str | None:
    """Return a `reason` from the body or from `?reason=`; the schema applies to both."""
    given = query.get("reason")
    if given is None:
        found: str | None = load(schema, optional=True).get("reason")
        return found
    inside = load(ReasonMaybeIn, optional=True).get("reason")
    return str(check(schema, {"reason": given if inside is None else inside})["reason"])


def wrong_names(names: Collection[str]) -> list[tuple[str, str]]:
    """Return each parameter that is not among `names` or given more than once, and what is wrong with it."""
    return [
        (name, "is given more than once" if name in names else "is not a parameter of this route")
        for name, given in request.args.lists()
        if name not in names or len(given) > 1
    ]


def query_values(*names: str) -> dict[str, str]:
    """Return what is given of `names`. Raises: `InvalidFields` for every other parameter, and for a repeated one."""
    if wrong := wrong_names(names):
        raise InvalidFields(wrong)
    return request.args.to_dict()


def flag(query: Mapping[str, str], name: str) -> bool:
    """Return a parameter that is true or false, and false by default. Raises: `InvalidFields`."""
    given = query.get(name, "false")
    if given not in ("true", "false"):
        raise InvalidFields([(name, "must be true or false")])
    return given == "true"


def csv_file(most: int) -> bytes:
    """Return a body that is a CSV file of at most `most` bytes. Raises: `Problem` 415, 413, 400."""
    kind = request.mimetype.lower()
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if kind != "text/csv" or charset not in ("utf-8", "utf8"):
        raise Problem(
            415,
            "Send the file as text/csv, in UTF-8 (a missing Content-Type is refused too).",
            kind="not-csv-type",
            title="The body must be text/csv",
        )
    return raw(most)


def with_inputs(
    view: Callable[..., Any],
    flags: Collection[str],
    parameters: Collection[str],
    *,
    body: type[Schema] | None,
    further: Check | None,
    reason_by: type[Schema] | None,
    most_bytes: int | None,
) -> Callable[..., Any]:
    """Return a view that reads from a request what `ApiRoutes.add` lists, and passes it to `view`."""
    if not (flags or body or reason_by or most_bytes):
        return view
    known = (*flags, *parameters, *(("reason",) if reason_by else ()))

    @wraps(view)
    def read(**given: Any) -> Any:
        query = query_values(*known) if flags or reason_by else {}
        given |= {name: flag(query, name) for name in flags}
        if reason_by is not None:
            given["reason"] = reason(reason_by, query)
        elif body is NothingIn:
            load(NothingIn, optional=True)
        elif body is not None:
            given["data"] = load(body, further=further)
        elif most_bytes is not None:
            given["file"] = csv_file(most_bytes)
        return view(**given)

    return read

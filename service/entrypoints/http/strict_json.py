"""JSON as the contract wants it: no NaN, no key given twice, no nesting without end; everything else is refused (400)."""

from __future__ import annotations

import json
from typing import Any


class NotJson(ValueError):
    """The body is not the JSON that is meant; the message says why, without echoing it."""


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


def loads(body: bytes) -> Any:
    """The value in a UTF-8 body. `NotJson` with the reason."""
    if not body:
        raise NotJson("the body is empty")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJson(f"the body is not UTF-8 (byte {error.start})") from None
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

"""Decode Stripe's form encoding (`items[0][price]=…`, `expand[]=…`), and read the parameters with types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from stripe_lookalike.errors import ApiError, Json, invalid

_NAME = re.compile(r"^([^\[\]]+)((?:\[[^\[\]]*\])*)$")


def decode(pairs: Iterable[tuple[str, str]]) -> Json:
    """Decode pairs: `[("items[0][price]", "p")]` → `{"items": [{"price": "p"}]}`. Values stay text."""
    tree: Json = {}
    for name, value in pairs:
        match = _NAME.match(name)
        if not match:
            raise invalid(f"Invalid parameter name: {name}", param=name)
        keys = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        _put(tree, keys, value, name)
    return {key: _lists(value) for key, value in tree.items()}


def _put(tree: Json, keys: list[str], value: str, name: str) -> None:
    node = tree
    for key in keys[:-1]:
        child = node.setdefault(key or str(len(node)), {})
        if not isinstance(child, dict):
            raise invalid(f"Invalid parameter: {name}", param=name)
        node = child
    last = keys[-1] or str(len(node))
    if isinstance(node.get(last), dict):
        raise invalid(f"Invalid parameter: {name}", param=name)
    node[last] = value


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    children = {key: _lists(value) for key, value in node.items()}
    if children and all(key.isascii() and key.isdigit() for key in children):
        return [children[key] for key in sorted(children, key=int)]
    return children


class Params:
    """Typed access to decoded parameters.

    In Stripe's API `""` unsets a field: `text` and `integer` return it as `None`, and `given` is true for it. The readers
    raise `ApiError` 400 for a value of the wrong type.
    """

    def __init__(self, values: Json, path: str = "") -> None:
        self.values = values
        self._path = path

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def given(self, name: str) -> bool:
        """Return whether the request has this parameter, also as `""`."""
        return name in self.values

    def name(self, name: str) -> str:
        """Return the parameter's full name for an error: `items[0][price]`."""
        return f"{self._path}[{name}]" if self._path else name

    def text(self, name: str, default: str | None = None) -> str | None:
        value = self.values.get(name, default)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise invalid(f"Invalid string: {value}", self.name(name), "parameter_invalid_string")
        return value

    def required(self, name: str) -> str:
        value = self.text(name)
        if value is None:
            raise self.missing_error(name)
        return value

    def missing_error(self, name: str) -> ApiError:
        """Return the 400 for a missing required parameter."""
        full = self.name(name)
        return invalid(f"Missing required param: {full}.", full, "parameter_missing")

    def integer(self, name: str, default: int | None = None) -> int | None:
        value = self.text(name)
        if value is None:
            return default
        if not re.fullmatch(r"-?\d{1,18}", value):
            raise invalid(f"Invalid integer: {value}", self.name(name), "parameter_invalid_integer")
        return int(value)

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.text(name)
        if value is None:
            return default
        if value not in ("true", "false"):
            raise invalid(f"Invalid boolean: {value}", self.name(name))
        return value == "true"

    def choice(self, name: str, allowed: tuple[str, ...], default: str | None = None) -> str | None:
        value = self.text(name, default)
        if value is not None and value not in allowed:
            raise invalid(f"Invalid {self.name(name)}: must be one of {', '.join(allowed)}", self.name(name))
        return value

    def inner(self, name: str) -> Params:
        """Return a nested object, empty if the request doesn't have it."""
        value = self.values.get(name) or {}
        if not isinstance(value, dict):
            raise invalid("Invalid object", self.name(name))
        return Params(value, self.name(name))

    def rows(self, name: str) -> list[Params]:
        """Return a list of objects."""
        values = self._list(name)
        if not all(isinstance(value, dict) for value in values):
            raise invalid("Invalid array", self.name(name))
        return [Params(value, f"{self.name(name)}[{n}]") for n, value in enumerate(values)]

    def texts(self, name: str) -> list[str]:
        """Return a list of strings."""
        values = self._list(name)
        if not all(isinstance(value, str) for value in values):
            raise invalid("Invalid array", self.name(name))
        return values

    def _list(self, name: str) -> list[Any]:
        value = self.values.get(name) or []
        if not isinstance(value, list):
            raise invalid("Invalid array", self.name(name))
        return value

    def metadata(self, before: Json | None = None, name: str = "metadata") -> Json:
        """Return `before` with the request's keys set. A key with `""` is removed, and `metadata=""` removes all."""
        if self.values.get(name) == "":
            return {}
        merged = dict(before or {})
        given = self.values.get(name) or {}
        if isinstance(given, str):
            raise invalid("Invalid object", self.name(name))
        # The decoder turns keys that are all digits into a list; in metadata they are names.
        pairs = enumerate(given) if isinstance(given, list) else given.items()
        for key, value in pairs:
            if not isinstance(value, str):
                raise invalid("Metadata values must be strings", f"{self.name(name)}[{key}]")
            if value == "":
                merged.pop(str(key), None)
            else:
                merged[str(key)] = value
        return merged


def http_url(params: Params, name: str) -> str | None:
    """Return an `http` or `https` URL. Another scheme, such as `javascript:`, would run on our pages."""
    value = params.text(name)
    if value is not None and not value.startswith(("http://", "https://")):
        raise invalid("Not a valid URL", params.name(name), "url_invalid")
    return value

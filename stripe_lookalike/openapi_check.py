"""A strict check of parameters against Stripe's OpenAPI description: names, nesting, types and enums.

The caller, a test, supplies the description; the repository doesn't contain it. Values are form-encoded, so a number is
checked as text.
"""

from __future__ import annotations

import re
from typing import Any

from stripe_lookalike.errors import ApiError, Json, invalid


class ParameterCheck:
    """The operations of one OpenAPI description."""

    def __init__(self, document: Json) -> None:
        self._schemas: Json = document.get("components", {}).get("schemas", {})
        self._operations: list[tuple[str, re.Pattern[str], Json]] = []
        # Paths without placeholders come first: `/v1/invoices/search` is not the invoice "search".
        for path, methods in sorted(document["paths"].items(), key=lambda pair: pair[0].count("{")):
            pattern = re.compile(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path)))
            for method in ("get", "post", "delete"):
                if method in methods:
                    self._operations.append((method, pattern, methods[method]))

    def check(self, method: str, path: str, params: Json) -> None:
        """Raise `ApiError` 400, such as `parameter_unknown`, for what the description doesn't allow.

        The description is a cut. For a path that it lacks, only the route's own parameters are checked.
        """
        operation = self._operation(method.lower(), path)
        if operation is None:
            return
        schema: Json = _body(operation) if method != "GET" else {}
        properties = dict(schema.get("properties", {}))
        required = list(schema.get("required", []))
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query":
                properties[parameter["name"]] = parameter["schema"]
                required += [parameter["name"]] if parameter.get("required") else []
        self._object(params, {"properties": properties, "required": required}, "")

    def _operation(self, method: str, path: str) -> Json | None:
        for known, pattern, operation in self._operations:
            if known == method and pattern.fullmatch(path):
                return operation
        return None

    def _value(self, value: Any, schema: Json, name: str) -> None:
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"].rsplit("/", 1)[1]]
        if "anyOf" in schema:
            self._any(value, schema["anyOf"], name)
            return
        kind = schema.get("type")
        if kind == "object":
            self._object(value, schema, name)
        elif kind == "array":
            if not isinstance(value, list):
                # `""` empties a list only where the schema allows it with an enum.
                raise invalid("Invalid array", name)
            for n, inner in enumerate(value):
                self._value(inner, schema["items"], f"{name}[{n}]")
        else:
            _scalar(value, schema, name)

    def _any(self, value: Any, choices: list[Json], name: str) -> None:
        problems: list[tuple[bool, ApiError]] = []
        for choice in choices:
            try:
                self._value(value, choice, name)
            except ApiError as problem:
                fits = {"object": dict, "array": list}.get(choice.get("type", ""), str)
                problems.append((isinstance(value, fits), problem))
            else:
                return
        # The error of the choice with the right type is the most helpful.
        raise max(problems, key=lambda pair: pair[0])[1]

    def _object(self, value: Any, schema: Json, name: str) -> None:
        if isinstance(value, list):  # the decoder turns names that are all digits, as in metadata, into a list
            value = {str(n): inner for n, inner in enumerate(value)}
        if not isinstance(value, dict):
            raise invalid("Invalid object", name)
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        for key, inner in value.items():
            full = f"{name}[{key}]" if name else key
            if key in properties:
                self._value(inner, properties[key], full)
            elif isinstance(others, dict):
                self._value(inner, others, full)
            else:
                raise unknown_parameter(full)
        for key in schema.get("required", []):
            if key not in value:
                full = f"{name}[{key}]" if name else key
                raise invalid(f"Missing required param: {full}.", full, "parameter_missing")


def unknown_parameter(name: str) -> ApiError:
    """Return Stripe's error for an unknown parameter."""
    return invalid(f"Received unknown parameter: {name}", name, "parameter_unknown")


def _body(operation: Json) -> Json:
    content = operation.get("requestBody", {}).get("content", {})
    form: Json = next(iter(content.values()), {})
    schema: Json = form.get("schema", {})
    return schema


def _scalar(value: Any, schema: Json, name: str) -> None:
    if not isinstance(value, str):
        raise invalid(f"Invalid {schema.get('type', 'string')}", name)
    kind = schema.get("type")
    if "enum" in schema and value not in schema["enum"]:
        raise invalid(f"Invalid {name}: must be one of {', '.join(schema['enum'])}", name)
    if kind == "integer" and not re.fullmatch(r"-?\d+", value):
        raise invalid(f"Invalid integer: {value}", name, "parameter_invalid_integer")
    if kind == "number" and not re.fullmatch(r"-?\d+(\.\d+)?", value):
        raise invalid(f"Invalid decimal: {value}", name)
    if kind == "boolean" and value not in ("true", "false"):
        raise invalid(f"Invalid boolean: {value}", name)
    if kind == "string" and len(value) > schema.get("maxLength", len(value)):
        raise invalid(f"Invalid string: {name} is too long", name)

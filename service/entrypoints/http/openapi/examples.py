"""Complete a description: each property, parameter, body, and answer gets its words and an example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.entrypoints.http.lists import csv_text
from service.entrypoints.http.openapi import access, administration, readers, reporting
from service.entrypoints.http.openapi.operations import BODIES, EXAMPLES, OUTCOMES
from service.entrypoints.http.openapi.samples import Described

PROPERTIES: Mapping[str, Described] = {
    **access.PROPERTIES,
    **administration.PROPERTIES,
    **readers.PROPERTIES,
    **reporting.PROPERTIES,
}
"""Name of a property → its words and example. `Schema.name`, for one schema and those that inherit it, takes precedence."""

Spec = dict[str, Any]
_END = r"\Z"


class Examples:
    """Examples of the schemas in a description, composed from those of their properties."""

    def __init__(self, schemas: Mapping[str, Spec], classes: Mapping[str, type]) -> None:
        self._schemas = schemas
        self._names = {name: (name, *(kind.__name__ for kind in classes[name].__mro__)) for name in schemas}

    def describe_properties(self) -> None:
        """Give each property of each schema its description and its example."""
        for schema, spec in self._schemas.items():
            for name, item in spec.get("properties", {}).items():
                if "pattern" in item:  # OpenAPI's regular expressions are ECMAScript's, and match anywhere.
                    item["pattern"] = f"^{item['pattern'].removeprefix('^').removesuffix('$').removesuffix(_END)}$"
                keys = (*(f"{kind}.{name}" for kind in self._names[schema]), name)
                words = next((PROPERTIES[key] for key in keys if key in PROPERTIES), None)
                if words is not None:
                    item["description"] = words if isinstance(words, str) else words[0]
                    if not isinstance(words, str):
                        item["example"] = words[1]
        # The examples of nested schemas are complete only now.
        for spec in self._schemas.values():
            for item in spec.get("properties", {}).values():
                if "description" in item and "example" not in item:
                    item["example"] = self.example_of(item)

    def example_of(self, spec: Spec) -> Any:
        """Return an example of a specification: its own, or one composed from its parts."""
        if "example" in spec:
            return spec["example"]
        if "$ref" in spec:
            return self._example_of_schema(spec["$ref"].rpartition("/")[2])
        if "anyOf" in spec:
            return self.example_of(spec["anyOf"][0])
        return [self.example_of(spec["items"])] if "items" in spec else {}

    def _example_of_schema(self, name: str) -> Any:
        composed = {key: self.example_of(item) for key, item in self._schemas[name].get("properties", {}).items()}
        changed = next((BODIES[kind] for kind in self._names[name] if kind in BODIES), {})
        return {key: value for key, value in (composed | dict(changed)).items() if value is not ...}

    def describe_operation(self, operation: Spec) -> None:
        """Give an operation's parameters, body, and answers their examples."""
        for parameter in operation["parameters"]:
            if "example" not in parameter and parameter["name"] in EXAMPLES:
                parameter["example"] = EXAMPLES[parameter["name"]]
        for content in operation.get("requestBody", {}).get("content", {}).values():
            content.setdefault("example", self.example_of(content["schema"]))
        for answer in operation["responses"].values():
            content = answer.get("content", {})
            given = content.get("application/json")
            if given is not None and "example" not in given:
                found = self.example_of(given["schema"])
                given["example"] = found | dict(OUTCOMES.get(operation["operationId"], {}))
            if "text/csv" in content and "example" not in content["text/csv"]:
                item = given["example"]["items"][0]
                content["text/csv"]["example"] = csv_text(list(item), [item])

"""Find the metrics that PromQL expressions select, and match them with scraped samples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.samples import Sample

_GROUPING = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)")
_SELECTOR = re.compile(r"(?<![\w.:])([a-zA-Z_:][\w:]*+)\s*+(\{[^}]*\})?(?!\()")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_WORDS = {"and", "or", "unless", "bool", "by", "on", "without", "ignoring", "offset", "group_left", "group_right"}
ADDED_BY_PROMETHEUS = {"job", "instance"}
"""Labels that Prometheus adds to each sample that it scrapes."""


@dataclass(frozen=True)
class Selector:
    """A metric with its matchers: label, operator, value."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]

    def matches(self, sample: Sample) -> bool:
        """Return whether a scraped sample would be selected."""
        return sample.name == self.name and all(
            _fits(sample.labels.get(label, ""), operator, value)
            for label, operator, value in self.matchers
            if label not in ADDED_BY_PROMETHEUS
        )


def _fits(given: str, operator: str, value: str) -> bool:
    same = re.fullmatch(value, given) is not None if "~" in operator else given == value
    return same != operator.startswith("!")


def selectors(expression: str) -> Iterator[Selector]:
    """Yield what an expression selects. A name that is followed by `(` is a function."""
    without_ranges = re.sub(r"\[[^\]]*\]", "", _GROUPING.sub("", expression))
    for name, matchers in _SELECTOR.findall(without_ranges):
        if name not in _WORDS:
            yield Selector(name, tuple(_MATCHER.findall(matchers)))

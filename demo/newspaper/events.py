"""Newsmaker evenings from `events.toml`, with dates relative to the start of the newspaper."""

import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("events.toml")
PRIVATE_FIELDS = ("where", "word")


@dataclass(frozen=True, slots=True)
class Evening:
    """`public` has guest, subject, text and on. `private` has where and word, for readers with a seat."""

    public: dict[str, Any]
    private: dict[str, str]

    def visible(self, invited: bool) -> dict[str, Any]:
        """Return the fields that a page may show."""
        return self.public | self.private if invited else self.public


def read_events(now: datetime) -> list[Evening]:
    """Return all evenings, the next one first."""
    evenings = []
    for entry in tomllib.loads(FILE.read_text(encoding="utf-8"))["events"]:
        private = {name: entry.pop(name) for name in PRIVATE_FIELDS}
        evenings.append(Evening(entry | {"on": now + timedelta(days=entry.pop("in_days"))}, private))
    return sorted(evenings, key=lambda evening: evening.public["on"])

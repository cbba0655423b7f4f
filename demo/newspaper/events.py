"""Newsmaker evenings: read from `events.toml` at start, their dates counted from that moment."""

import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("events.toml")
FOR_GUESTS = ("where", "word")


@dataclass(frozen=True, slots=True)
class Evening:
    """`told` is what anybody may know: guest, subject, text, on; `kept` is for those who hold a seat: where, word."""

    told: dict[str, Any]
    kept: dict[str, str]

    def shown(self, invited: bool) -> dict[str, Any]:
        """What a page may have of it."""
        return self.told | self.kept if invited else self.told


def read_events(now: datetime) -> list[Evening]:
    """Every evening of the file, the next one first."""
    evenings = []
    for entry in tomllib.loads(FILE.read_text(encoding="utf-8"))["events"]:
        kept = {name: entry.pop(name) for name in FOR_GUESTS}
        evenings.append(Evening(entry | {"on": now + timedelta(days=entry.pop("in_days"))}, kept))
    return sorted(evenings, key=lambda evening: evening.told["on"])

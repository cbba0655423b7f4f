"""The paper's stories: read from `stories/*.toml` at start, their dates counted back from that moment."""

import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("stories")


@dataclass(frozen=True, slots=True)
class Head:
    """What anybody may see of a story, and what the paywall is told of it."""

    id: str
    headline: str
    deck: str
    section: str
    tags: tuple[str, ...]
    byline: str
    published: datetime
    updated: datetime
    picture: str
    alt: str
    caption: str
    minutes: int
    holds: tuple[str, ...]
    """What lies in the notebook, as counts: "4 documents"."""

    def asked(self) -> dict[str, Any]:
        """The story as `POST /v1/access` takes it."""
        return {
            "id": self.id,
            "section": self.section,
            "tags": list(self.tags),
            "published_at": self.published.isoformat(timespec="seconds"),
            "parts": ["facts", "notebook"],
        }


@dataclass(frozen=True, slots=True)
class Story:
    """A head, and the parts by name: `facts` is a list of (kind, text), `notebook` a table as in the file."""

    head: Head
    parts: dict[str, Any]

    def opened(self, verdicts: dict[str, str]) -> dict[str, Any]:
        """Only the parts that the paywall calls open: the one way by which text leaves this file for a page."""
        return {name: text for name, text in self.parts.items() if verdicts.get(name) == "open"}


def read_stories(now: datetime) -> dict[str, Story]:
    """Every story of the folder by its id, newest first."""
    stories = [_story(path, now) for path in FOLDER.glob("*.toml")]
    stories.sort(key=lambda story: story.head.published, reverse=True)
    return {story.head.id: story for story in stories}


def _story(path: Path, now: datetime) -> Story:
    file = tomllib.loads(path.read_text(encoding="utf-8"))
    notebook = file["notebook"]
    for entry in notebook["timeline"]:
        entry["on"] = (now - timedelta(days=entry["days_ago"])).date()
    head = Head(
        id=path.stem,
        headline=file["headline"],
        deck=file["deck"],
        section=file["section"],
        tags=tuple(file["tags"]),
        byline=file["byline"],
        published=now - timedelta(hours=file["published_hours_ago"]),
        updated=now - timedelta(hours=file["updated_hours_ago"]),
        picture=file["picture"],
        alt=file["alt"],
        caption=file["caption"],
        minutes=max(1, round(len(file["facts"].split()) / 220)),
        holds=tuple(_count(len(notebook[kind]), kind) for kind in ("documents", "timeline", "interviews")),
    )
    return Story(head, {"facts": _blocks(file["facts"]), "notebook": notebook})


def _blocks(text: str) -> list[tuple[str, str]]:
    """Paragraphs as ("p", …), cross-heads (`## …`) as ("h3", …), pulled quotes (`> …`) as ("quote", …)."""
    kinds = {"## ": "h3", "> ": "quote"}
    blocks = []
    for block in text.strip().split("\n\n"):
        mark = next((mark for mark in kinds if block.startswith(mark)), "")
        blocks.append((kinds.get(mark, "p"), block.removeprefix(mark)))
    return blocks


def _count(number: int, kind: str) -> str:
    if kind == "timeline":
        return f"a timeline of {number} {'entry' if number == 1 else 'entries'}"
    return f"{number} {kind if number != 1 else kind.removesuffix('s')}"

"""The stories from `stories/*.toml`, with dates relative to the start of the newspaper."""

import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("stories")


@dataclass(frozen=True, slots=True)
class Head:
    """The public fields of a story, which the paywall also gets."""

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
    contents: tuple[str, ...]
    """Counts of what the notebook has, such as "4 documents"."""

    def access_fields(self) -> dict[str, Any]:
        """Return the `story` of a `POST /v1/access`."""
        return {
            "id": self.id,
            "section": self.section,
            "tags": list(self.tags),
            "published_at": self.published.isoformat(timespec="seconds"),
            "parts": ["facts", "notebook"],
        }


@dataclass(frozen=True, slots=True)
class Story:
    """A head and the parts by name: `facts` is a list of (kind, text), and `notebook` is the file's table."""

    head: Head
    parts: dict[str, Any]

    def open_parts(self, states: dict[str, str]) -> dict[str, Any]:
        """Return only the parts that a decision opens. Pages get text by this method alone."""
        return {name: text for name, text in self.parts.items() if states.get(name) == "open"}


def read_stories(now: datetime) -> dict[str, Story]:
    """Return all stories by ID, newest first."""
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
        contents=tuple(_count(len(notebook[kind]), kind) for kind in ("documents", "timeline", "interviews")),
    )
    return Story(head, {"facts": _blocks(file["facts"]), "notebook": notebook})


def _blocks(text: str) -> list[tuple[str, str]]:
    """Split text into paragraphs ("p", …), subheads (`## …`: "h3") and pull quotes (`> …`: "quote")."""
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

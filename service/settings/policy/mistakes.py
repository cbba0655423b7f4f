"""What is wrong with the settings, and where: one sentence each, all of them at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

SHOWN = 64
"""Characters of a stranger's word that a message repeats."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """`where` is a variable's name, or `paywall.toml: plans.supporter.features.0`; `message` says what to do."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class SettingsError(Exception):
    """The service must not start. `str()` is a line for each mistake; none repeats a secret."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(self.mistakes)

    def __str__(self) -> str:
        return "\n".join(str(mistake) for mistake in self.mistakes)


def escaped(word: str) -> str:
    """Safe to print in a terminal or a log: short, and with nothing that moves the cursor or turns the direction."""
    cut = word if len(word) <= SHOWN else word[: SHOWN - 1] + "…"
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in cut)


def quoted(word: str) -> str:
    return f'"{escaped(word)}"'


def key_shown(key: str) -> str:
    """A key of the file as a step of a place: in quotes where TOML needs them too."""
    return escaped(key) if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else quoted(key)


def closest(word: str, known: Iterable[str]) -> str:
    """`: did you mean "…"?` where one of `known` is near, else nothing. Upper and lower case count as near."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word[:SHOWN].lower(), by_lower, n=1)
    return f": did you mean {quoted(by_lower[near[0]])}?" if near else ""

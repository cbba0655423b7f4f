"""Reads variables of the environment by what each may be; every mistake is kept, and names its variable."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from service.settings.policy.mistakes import Mistake

Wrong = Callable[[str], str | None]
"""What is wrong with a value, or `None`."""

VISIBLE = re.compile(r"[!-~]+")
"""What can travel in a header, whichever way the two sides encode it."""


class Environment:
    """Reads variables; what is wrong with one goes to `mistakes`, and it is then read as unset."""

    def __init__(self, env: Mapping[str, str], mistakes: list[Mistake]) -> None:
        self._env, self._mistakes = env, mistakes

    def given(self, variable: str) -> bool:
        """Whether a variable is set, rightly or not."""
        return bool(self._env.get(variable, "").strip())

    def one(self, variable: str, wrong: Wrong | None = None) -> str | None:
        """A variable's value; `None` where it is unset, blank, or refused."""
        value = self._text(variable)
        if value and wrong and (message := wrong(value)):
            self.refuse(variable, message)
            return None
        return value or None

    def number(self, variable: str, least: int, most: int) -> int | None:
        """A whole number within bounds."""
        value = self._text(variable)
        digits = value.isascii() and value.isdigit() and len(value) <= 9
        if value and not (digits and least <= int(value) <= most):
            self.refuse(variable, f"must be a whole number from {least} to {most}: set it to one, or leave it unset")
            return None
        return int(value) if value else None

    def several(self, variable: str, wrong: Wrong) -> tuple[str, ...]:
        """Comma-separated secrets, each once, in order."""
        good = []
        for number, entry in self.entries(variable):
            if message := "is blank: drop the comma, or set a secret there" if not entry else wrong(entry):
                self.refuse(variable, f"entry {number} {message}")
            else:
                good.append(entry)
        return tuple(dict.fromkeys(good))

    def entries(self, variable: str) -> Iterator[tuple[int, str]]:
        """What stands between the commas, without blanks around it, with its number from 1."""
        value = self._text(variable)
        return enumerate((entry.strip() for entry in value.split(",")) if value else (), start=1)

    def refuse(self, variable: str, message: str) -> None:
        """Notes a mistake. The message is shown, so it holds no value that may be a secret."""
        self._mistakes.append(Mistake(variable, message))

    def _text(self, variable: str) -> str:
        value = self._env.get(variable, "").strip()
        if value.isprintable():
            return value
        # Also half characters: what the environment holds in another encoding arrives as those.
        self.refuse(variable, "contains a line break, another control character or text that is not UTF-8: remove it")
        return ""

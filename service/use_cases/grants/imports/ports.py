"""Where a test may stop the work, and what stops it otherwise."""

from __future__ import annotations

from collections.abc import Callable

Checkpoint = Callable[[str], None]
"""Called between any two steps with the step's name. What it raises stops the work right there, as a crash would."""


def pass_by(name: str) -> None:
    """The checkpoint of a service that runs."""


class Late(Exception):
    """The lease is another's by now: whatever is left is another's to do."""

"""A link to a real store on which a test can stop a process, lose a reply, or let another process go first.

The link calls `before` ahead of each command and script, and `after` behind it, with the name of the script or the
command ("apply_object", "HGETALL"). Whatever these callbacks raise reaches the code under test as if the store had failed,
or the process had died, at exactly that point. So each point between two store operations is a crash point. A pipeline
runs command by command, and scripts sent together one by one, since a process can also die between two of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from service.adapters.redis.client.address import Address
from service.adapters.redis.client.link import Link
from service.adapters.redis.client.scripts import Script, ScriptCall
from service.domain.errors import StoreUnavailable

Step = Callable[[str], None]

PATIENT = 10.0
"""Seconds for the store to answer: a busy machine is not an outage here."""


class Killed(BaseException):
    """The process is dead. Nothing may catch it."""


def go_on(name: str) -> None:
    """Let the operation happen."""


class SteppedLink(Link):
    """A link that calls back before and after each operation."""

    def __init__(
        self, address: Address, *, before: Step = go_on, after: Step = go_on, timeout: float = PATIENT
    ) -> None:
        super().__init__(address, timeout=timeout)
        self._before = before
        self._after = after

    def read(self, commands: Sequence[Any]) -> list[Any]:
        if not commands:
            return []
        name = _name(commands[0][1][0])
        self._before(name)
        replies = super().read(commands)
        self._after(name)
        return replies

    def run(self, script: Script, keys: Sequence[bytes], args: Sequence[Any]) -> Any:
        self._before(script.name)
        reply = super().run(script, keys, args)
        self._after(script.name)
        return reply

    def run_all(self, calls: Sequence[ScriptCall]) -> list[Any]:
        return [self.run(*call) for call in calls]

    def call(self, key: bytes, *parts: Any) -> Any:
        name = _name(parts[0])
        self._before(name)
        reply = super().call(key, *parts)
        self._after(name)
        return reply

    def pipeline(self, commands: Sequence[Any]) -> list[Any]:
        replies: list[Any] = []
        for command in commands:
            name = _name(command[1][0])
            self._before(name)
            replies += super().pipeline([command])
            self._after(name)
        return replies

    def scan_nodes(self, match: bytes) -> Iterator[list[bytes]]:
        self._before("SCAN")
        yield from super().scan_nodes(match)


def _name(part: Any) -> str:
    return part.decode() if isinstance(part, bytes) else str(part)


class Failure:
    """A callback that fails at the n-th operation after `arm(n)`; unarmed it lets everything happen.

    It raises `Killed`, and then at every further operation, since a dead process does nothing more; or, with
    `replies_only`, it raises `StoreUnavailable` once: a process lives on after a lost reply.
    """

    def __init__(self, *, replies_only: bool = False) -> None:
        self._replies_only = replies_only
        self._at = 0
        self.passed: list[str] = []
        """The names of the operations since `arm`, up to and with the one that failed."""

    def arm(self, at: int) -> None:
        """Fail at the `at`-th operation from now on."""
        self._at, self.passed = at, []

    def disarm(self) -> None:
        """Let everything happen again: the next process has the same link."""
        self._at = 0

    @property
    def struck(self) -> bool:
        """Whether it has failed since it was armed."""
        return len(self.passed) >= self._at > 0

    def __call__(self, name: str) -> None:
        if not self._at:
            return
        dead = self.struck
        if not dead:
            self.passed.append(name)
        if self.struck and not (dead and self._replies_only):
            raise StoreUnavailable("timeout") if self._replies_only else Killed(name)

"""Keys of story passes. A pass lies in a slot of its own with its audit outbox (`Keys.outbox(tag)`); the list in another."""

from __future__ import annotations


class PassKeys:
    """Key names under one prefix."""

    __slots__ = ("prefix",)

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix

    @staticmethod
    def tag(pass_id: str) -> bytes:
        """The hash tag of a pass; also the name of its audit outbox."""
        return b"p:%b" % pass_id.encode()

    def story_pass(self, pass_id: str) -> bytes:
        """Hash: a pass, and who was let in by it (`passes`)."""
        return b"%b:{p:%b}pass" % (self.prefix, pass_id.encode())

    @property
    def listed(self) -> bytes:
        """Sorted set, all of one score: the time of making (13 digits, ms) and id of every pass kept, so that it sorts."""
        return b"%b:{passes}listed" % self.prefix

    def given(self, tag: bytes) -> bytes:
        """Sorted set in a reader's slot: the passes that she gave this month and the last, by when (ms)."""
        return b"%b:{%b}gifts" % (self.prefix, tag)

"""Every key of the store, by a named function. `{…}` is the hash tag: keys that share it lie in one slot.

A reader's or visitor's key carries a BLAKE2b hash of the id (16 bytes, base64url), never the id itself: fixed size, safe
inside a hash tag, and nothing personal in a key. The hash is personalised, so that a visitor never meets a reader.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import blake2b


@lru_cache(maxsize=65_536)
def reader_hash(reader: str) -> bytes:
    """22 characters that stand for a reader in keys."""
    return urlsafe_b64encode(blake2b(reader.encode(), digest_size=16, person=b"reader").digest())[:22]


@lru_cache(maxsize=65_536)
def visitor_hash(visitor: str) -> bytes:
    """22 characters that stand for a visitor in keys."""
    return urlsafe_b64encode(blake2b(visitor.encode(), digest_size=16, person=b"visitor").digest())[:22]


@lru_cache(maxsize=65_536)
def story_mark(story: str) -> bytes:
    """8 bytes that stand for a story in a meter."""
    return blake2b(story.encode(), digest_size=8, person=b"story").digest()


@lru_cache(maxsize=65_536)
def owner_mark(reader: str) -> bytes:
    """8 bytes that stand for the reader that a visitor's stories have joined."""
    return blake2b(reader.encode(), digest_size=8, person=b"owner").digest()


@lru_cache(maxsize=1_024)
def meter_code(name: str) -> bytes:
    """4 characters that stand for a meter's name in keys."""
    return urlsafe_b64encode(blake2b(name.encode(), digest_size=3, person=b"meter").digest())


ADMIN = b"admin"
"""Stands where a reader's tag stands, for admin changes that are about no reader."""


class Keys:
    """Key names under one prefix (`PAYWALL_PREFIX`), so that several titles can share a store."""

    __slots__ = ("prefix",)

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix.encode()

    def reader(self, tag: bytes) -> bytes:
        """Hash: what can still open something for this reader, a field a source. The one key that a check reads."""
        return b"%b:{%b}" % (self.prefix, tag)

    def past(self, tag: bytes) -> bytes:
        """Hash: sources that have ended, and what a check needs not know."""
        return b"%b:{%b}past" % (self.prefix, tag)

    def history(self, tag: bytes) -> bytes:
        """List: every change of a source, oldest first."""
        return b"%b:{%b}history" % (self.prefix, tag)

    def customers(self, tag: bytes) -> bytes:
        """Hash: Stripe's customers that are this reader's, by the objects that make it so (`customers`)."""
        return b"%b:{%b}customers" % (self.prefix, tag)

    def erased(self, tag: bytes) -> bytes:
        """String: when this reader was erased (epoch seconds), so that Stripe does not bring the reader back."""
        return b"%b:{%b}erased" % (self.prefix, tag)

    def outbox(self, tag: bytes) -> bytes:
        """List: audit entries written with a change of this reader and not yet in the chain."""
        return b"%b:{%b}audit" % (self.prefix, tag)

    def audited(self, tag: bytes) -> bytes:
        """Sorted set: numbers of the audit records about this reader."""
        return b"%b:{%b}audited" % (self.prefix, tag)

    def reader_meter(self, tag: bytes, code: bytes) -> bytes:
        """String: the stories counted for a reader, packed (`meters`)."""
        return b"%b:{%b}m%b" % (self.prefix, tag, code)

    def visitor_meter(self, tag: bytes, code: bytes) -> bytes:
        """String: the stories counted for a visitor, packed."""
        return b"%b:{%b}v%b" % (self.prefix, tag, code)

    def shared(self, name: str) -> bytes:
        """A key that there is one of; `name` is unique in the house."""
        return b"%b:%b" % (self.prefix, name.encode())

    @property
    def audit_log(self) -> bytes:
        """Hash: the audit chain, `seq` → record."""
        return b"%b:{audit}log" % self.prefix

    @property
    def audit_head(self) -> bytes:
        """Hash: `seq` and `hash` of the newest record; `checkpoint`, where older ones were let go."""
        return b"%b:{audit}head" % self.prefix

    @property
    def audit_seen(self) -> bytes:
        """Sorted set: ids of entries already in the chain, by their seq, so that a repeat changes nothing."""
        return b"%b:{audit}seen" % self.prefix

    @property
    def audit_intents(self) -> bytes:
        """Set: `tag:name:moment` of whoever is about to write to the outbox of that tag."""
        return b"%b:{audit}intents" % self.prefix

    @property
    def audit_refused(self) -> bytes:
        """List: what was found in outboxes and was not put there by this service; never part of the chain."""
        return b"%b:{audit}refused" % self.prefix

    def admin(self, name: str) -> bytes:
        """A hash that there is one of, in the slot of the admins' own outbox (`outbox(ADMIN)`)."""
        return b"%b:{%b}%b" % (self.prefix, ADMIN, name.encode())

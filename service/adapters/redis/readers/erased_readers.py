"""The marks of erased readers, so that older Stripe facts do not bring them back.

A mark is the moment of an erasure, under an HMAC of the hash that stands for the reader in keys. What Stripe created after
that moment belongs to the reader again by its own metadata, and an admin's link is stronger than the mark (`OwnerResolver`).
Older objects are stored without the ID (`hide_ids`). A mark is never removed.

    {erased}marks   hash: HMAC → moment (epoch seconds)
    {erased}keys    hash: number → a random key, sealed with `PAYWALL_SECRETS`

So nobody who reads the store or a backup can test whether an ID was erased. There is one key, and a further one for each
time that the secrets were lost: what was marked with a key that does not open is not recognized. The digests of IDs in
fingerprints are keyed likewise (`key_digests`).

A release before 0.1.0 stored the moment under the hash itself. Such a mark counts until it is rewritten.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from os import urandom
from typing import Any

from service.adapters.crypto import Sealer, is_claim_digest
from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.link import Command
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store
from service.adapters.redis.readers.readers import field_pairs
from service.adapters.redis.records import StoreRecords
from service.domain.stripe_facts import Fingerprint, OwnerClaims, StripeFacts

FIELD = load("replace_field")

ERASURE = "erasure"
"""The purpose for which the sealer of the keys is derived."""
_KEY, _MAC = 32, 16
"""Bytes of a key, and of a mark."""

Hidden = Callable[[str], bool]
"""Return whether a reader's ID must not be stored."""


class ErasedReaders(StoreRecords):
    """The marks of erased readers; one per process. Raises: StoreUnavailable from every method."""

    def __init__(self, store: Store, sealer: Callable[[], Sealer]) -> None:
        super().__init__(store)
        self._sealer = sealer
        self._marks, self._sealed = store.keys.erasure("marks"), store.keys.erasure("keys")
        self._opened: list[bytes] = []

    def mark(self, tags: Collection[bytes], now: float) -> None:
        """Mark readers as erased: from now on no older Stripe object belongs to them."""
        pairs = [part for tag in tags for part in (self._macs(tag)[0], b"%d" % now)]
        former = [self.keys.erased(tag) for tag in tags]
        marked: Command = (self._marks, (b"HSET", self._marks, *pairs))
        self._link.pipeline([marked, *((key, (b"DEL", key)) for key in former)])

    def erased_at(self, readers: Iterable[str]) -> dict[str, int]:
        """Return which of these readers were erased, and when (epoch seconds)."""
        asked = list(dict.fromkeys(readers))
        moments = self.load_moments([reader_hash(reader) for reader in asked])
        return {reader: moment for reader, moment in zip(asked, moments, strict=True) if moment is not None}

    def last_erased_at(self, *readers: str) -> int | None:
        """Return when one of these readers was last erased (epoch seconds), or `None`."""
        return max(self.erased_at(readers).values(), default=None)

    def load_moments(self, tags: Sequence[bytes]) -> list[int | None]:
        """Return when the readers with these hashes were erased."""
        return self.moments_in(tags, self._link.read(self.read_commands(tags)))

    def read_commands(self, tags: Sequence[bytes]) -> list[Command]:
        """Return the commands that read the marks of these readers; `moments_in` reads the replies."""
        marks = [mac for tag in tags for mac in self._macs(tag)]
        former = [self.keys.erased(tag) for tag in tags]
        return (
            [(self._marks, (b"HMGET", self._marks, *marks)), *((key, (b"GET", key)) for key in former)] if tags else []
        )

    def moments_in(self, tags: Sequence[bytes], replies: Sequence[Any]) -> list[int | None]:
        """Return what the replies to `read_commands` say of each of these readers."""
        marks, *former = replies or ([],)
        each = len(marks) // max(1, len(tags))
        rows = [[*marks[at * each : (at + 1) * each], former[at]] for at in range(len(tags))]
        return [max((int(moment) for moment in row if moment is not None), default=None) for row in rows]

    def rewrite_former_marks(self) -> Iterator[int]:
        """Rewrite the marks of a release before 0.1.0, a page of keys at a time; yield 0 for each page."""
        for page in self._link.scan_nodes(self.keys.erased(b"*")):
            for key in page:
                tag = self.keys.split(key)[0]
                (moment,) = self.load_moments([tag])
                if moment is not None:
                    self.mark([tag], moment)
            yield 0

    # Stripe's facts.

    def hide_ids(self, facts: StripeFacts) -> StripeFacts:
        """Return Stripe's facts as they are stored: without the IDs of readers who were erased after the object was created."""
        claims = facts.claims
        named = [name for name in (claims.gift_recipient, claims.reader_id, claims.client_reference_id) if name]
        erased = self.erased_at(named)
        hidden = {reader for reader, moment in erased.items() if facts.created <= moment}
        shown = without_ids(claims, hidden.__contains__) if hidden else claims
        return replace(facts, claims=shown, fingerprint=self.key_digests(facts.fingerprint))

    def key_digests(self, fingerprint: Fingerprint) -> Fingerprint:
        """Return a fingerprint whose digests of metadata are keyed; those that are already stay as they are."""
        return {
            name: self._macs(value.encode())[0].hex() if is_claim_digest(value, name) else value
            for name, value in fingerprint.items()
        }

    # The keys.

    def load_keys(self) -> list[bytes]:
        """Return the keys that open, the newest first; the first call in a process makes one where there is none.

        It also seals them with the first secret, so that the old one can go after a rotation.
        """
        if not self._opened:
            self._opened = self._open_keys()
        return self._opened

    def count_lost_keys(self) -> int:
        """Return how many keys no secret opens."""
        opened = len(self.load_keys())  # first: it makes a key where there is none
        return int(self._call(b"HLEN", self._sealed)) - opened

    def _macs(self, text: bytes) -> list[bytes]:
        """Return the marks of a text by each key; the first is the one that is written."""
        return [hmac.digest(key, text, sha256)[:_MAC] for key in self.load_keys()]

    def _open_keys(self) -> list[bytes]:
        sealer = self._sealer()
        while True:
            stored = dict(field_pairs(self._call(b"HGETALL", self._sealed)))
            opened: dict[int, bytes] = {}
            for number, packed in stored.items():
                sealed = packed.decode("ascii", "replace")
                if (key := sealer.open(sealed)) is not None:
                    opened[int(number)] = key
                    if not sealer.is_current(sealed):
                        self._link.run(FIELD, [self._sealed], [number, packed, sealer.seal(key)])
            if opened:
                return [opened[number] for number in sorted(opened, reverse=True)]
            number = b"%d" % (len(stored) + 1)
            self._call(b"HSETNX", self._sealed, number, sealer.seal(urandom(_KEY)))


def without_ids(claims: OwnerClaims, hidden: Hidden) -> OwnerClaims:
    """Return claims without hidden IDs. A gift whose recipient is hidden becomes unassigned; it does not go to the payer."""
    recipient_goes = claims.gift_recipient is not None and hidden(claims.gift_recipient)
    return OwnerClaims(
        gift_recipient=None if recipient_goes else claims.gift_recipient,
        gift_pending=claims.gift_pending or recipient_goes,
        reader_id=_unless_hidden(claims.reader_id, hidden),
        client_reference_id=_unless_hidden(claims.client_reference_id, hidden),
    )


def _unless_hidden(reader: str | None, hidden: Hidden) -> str | None:
    return None if reader is not None and hidden(reader) else reader

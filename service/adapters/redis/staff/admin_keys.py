"""Run-time admin keys, each process's cache of them, and the counter of wrong keys.

A key is stored as a hash, with its name and role; the key itself is shown once. Each process caches all keys for a second, so
an ended key is refused everywhere within that second. For an unknown key the process reads again at once, so a new key works
everywhere immediately; the number of such reads is limited, so wrong keys cost the store next to nothing. A key ends with a
mark that only this service can compute. A key with a valid mark is always looked up, so a flood of wrong keys never locks out
a new one. While the store is unavailable the cache stays in force, so a known key gets 503 from the route, not 401.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import blake2b

from service.adapters.crypto import Signer, key_digest
from service.adapters.redis.audit.audit import Actor, AuditedHash, audit_entry
from service.adapters.redis.client.store import Store
from service.adapters.redis.records import StoreRecords, decode_list, encode_json
from service.domain.errors import EnvironmentKey, NameInUse, NewerSchema, StoreUnavailable, UnknownKey
from service.domain.ids import is_personal_name

SCHEMA = 1
FRESH = 1.0
"""Seconds for which a process answers from its cache."""
LOOKS, LOOKS_A_SECOND = 20, 5
"""How often a process reads again for unknown keys: at once, and from then on per second."""

WORD, MARK = "paywall_", 16
"""The prefix of a key, and the length of the mark at its end."""


@dataclass(frozen=True, slots=True)
class AdminKey:
    """A run-time key. `mark` is the hash that it is known by, in hex.

    `created_at` is precise to the microsecond, so that keys of one second stay in order. `makers` are the actor that created
    the key and that actor's own makers (`Actor.makers`).
    """

    name: str
    role: str
    mark: str
    created_at: float
    makers: tuple[str | None, ...]

    @property
    def actor(self) -> str | None:
        """The actor that created the key."""
        return self.makers[0]


class AdminKeys:
    """Creates, lists and ends run-time keys. `taken` are the names of environment keys. Raises: StoreUnavailable."""

    def __init__(self, registry: AuditedHash, signer: Callable[[], Signer], taken: Collection[str]) -> None:
        self._registry = registry
        self._signer = signer
        self._taken = frozenset(taken)

    def is_genuine(self, key: str) -> bool:
        """Return whether this service made the key, by its mark; it can have ended. Keys older than marks return `False`."""
        if not key.startswith(WORD) or not key.isascii():
            return False
        try:
            return hmac.compare_digest(self._mark(key[:-MARK]), key[-MARK:])
        except StoreUnavailable:  # The secret itself can be in the store.
            return False

    def _mark(self, chance: str) -> str:
        return self._signer().sign(chance.encode())[:MARK]

    def create(self, name: str, role: str, reason: str | None, actor: Actor, now: float) -> str:
        """Store a new key by its hash. Raises: NameInUse."""
        random = WORD + secrets.token_urlsafe(32)
        secret = random + self._mark(random)
        # In the order in which `_unpacked` reads them.
        key = encode_json([SCHEMA, role, key_digest(secret).hex(), round(now, 6), (actor.name, *actor.makers)])
        written = audit_entry(actor, "key.create", now=now, target=name, after={"role": role}, reason=reason)
        if name in self._taken or not self._registry.replace_field(name, None, key, written):
            raise NameInUse(name)
        return secret

    def end(self, name: str, reason: str | None, actor: Actor, now: float) -> AdminKey:
        """End a key. Raises: UnknownKey."""
        while (kept := self._registry.load(name)) is not None:
            key = self._unpacked(name, kept)
            written = audit_entry(actor, "key.end", now=now, target=name, before={"role": key.role}, reason=reason)
            if self._registry.replace_field(name, kept, None, written):
                return key
        raise EnvironmentKey(name) if name in self._taken else UnknownKey

    def list_all(self) -> list[AdminKey]:
        """Return every key, newest first."""
        found = [self._unpacked(name, kept) for name, kept in self._registry.load_all().items()]
        return sorted(found, key=lambda key: (key.created_at, key.name), reverse=True)

    def _unpacked(self, name: str, kept: bytes) -> AdminKey:
        schema, *values = decode_list(kept)
        if schema != SCHEMA:
            raise NewerSchema(f"a key of schema {schema}, this service knows {SCHEMA}")
        role, mark, created_at, makers = values
        if isinstance(makers, str):
            # An earlier release stored the direct maker alone. If that was a key made at run time, its own makers are unknown.
            has_no_maker = makers in self._taken or is_personal_name(makers)
            makers = [makers] if has_no_maker else [makers, None]
        return AdminKey(name, role, mark, created_at, tuple(makers))


class AdminKeyCache:
    """This process's cache of the keys, by their hashes."""

    def __init__(self, keys: AdminKeys) -> None:
        self._keys = keys
        self._lock = threading.Lock()
        self._by_mark: dict[str, AdminKey] | None = None
        self._over: set[bytes] = set()
        self._read_at = float("-inf")
        self._looks, self._counted_at = float(LOOKS), time.monotonic()

    def find(self, mark: bytes, key: str = "") -> AdminKey | None:
        """Return the key with this hash, or `None`; `key` itself, where it is known, decides whether it can be a new one.

        Raises: StoreUnavailable if the keys were never read.
        """
        with self._lock:
            if self._by_mark is None or time.monotonic() - self._read_at >= FRESH:
                self._over.clear()
                self._read()
            elif mark.hex() not in self._by_mark and (self._may_be_new(mark, key) or self._may_look()):
                self._read()
            known = self._by_mark or {}
        return known.get(mark.hex())

    def _may_be_new(self, mark: bytes, key: str) -> bool:
        """Return whether the key is genuine and not yet looked up since the last read; if it was, it has ended."""
        if mark in self._over or not self._keys.is_genuine(key):
            return False
        self._over.add(mark)
        return True

    def _may_look(self) -> bool:
        now = time.monotonic()
        self._looks = min(self._looks + (now - self._counted_at) * LOOKS_A_SECOND, LOOKS)
        self._counted_at = now
        if self._looks < 1:
            return False
        self._looks -= 1
        return True

    def invalidate(self) -> None:
        """Read the keys again at the next use: this process has just changed one."""
        with self._lock:
            self._read_at = float("-inf")

    def _read(self) -> None:
        self._read_at = time.monotonic()
        try:
            self._by_mark = {key.mark: key for key in self._keys.list_all()}
        except StoreUnavailable:
            if self._by_mark is None:
                raise


WINDOW = 60
_MOST = 10_000


class WrongKeyCounter(StoreRecords):
    """Counts wrong keys by address within a minute, over all workers; in this process alone while the store is unavailable."""

    def __init__(self, store: Store, *, enough: int) -> None:
        """Stop counting in the store at `enough`: the answer is the same, and costs the store nothing."""
        super().__init__(store)
        self._enough = enough
        self._own: dict[str, tuple[float, int]] = {}

    def increment(self, address: str) -> int:
        """Count one more wrong key of this address, and return the number within the minute."""
        begun, count = self._own.get(address, (0.0, 0))
        if time.monotonic() - begun >= WINDOW:
            begun, count = time.monotonic(), 0
        if len(self._own) >= _MOST:
            self._own.clear()
        self._own[address] = (begun, count + 1)
        key = self.keys.shared("wrong:" + blake2b(address.encode(), digest_size=16).hexdigest())
        if count + 1 >= self._enough or self._link.memory_at(key).is_filling:  # Strangers cause these keys.
            return count + 1
        try:
            # The key is created with its expiry first, so that a crash never locks out an address for good.
            begin = (b"SET", key, b"0", b"EX", WINDOW, b"NX")
            shared = int(self._link.pipeline([(key, begin), (key, (b"INCR", key))])[1])
        except StoreUnavailable:
            return count + 1
        return max(shared, count + 1)

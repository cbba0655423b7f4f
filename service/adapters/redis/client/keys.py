"""The name of every key in the store.

`{…}` is a Redis hash tag: keys that share it lie in one slot of a cluster, so one script or round trip can use them all.
The key of a reader or a visitor carries a BLAKE2b hash of the ID (16 bytes, base64url), never the ID: it has a fixed size,
is safe in a hash tag, and is not personal data. The hash is personalised, so a visitor never equals a reader.

These names are part of the stored format: data of earlier releases lies under them.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from functools import lru_cache
from hashlib import blake2b

MOST_CACHED_IDS = 8_192
"""The IDs of a kind whose hashes are cached. An ID has at most 128 bytes, so this also bounds the bytes."""

READER_TAG = 22
"""The length of a reader's hash tag in characters."""

ADMIN = b"admin"
"""The hash tag of what belongs to no reader: run-time keys, approvals, sessions, and their audit outbox."""

PARTITIONS = 64
"""Stripe's objects and events lie in 64 partitions, so that no slot of a cluster holds all of them."""

INDEX_PARTITIONS = 512
"""The index of readers lies in 512 partitions: of 100,000 readers about 200 are read and written together."""

PROVIDER_PARTITIONS = 512
"""The sources of a provider lie in 512 hashes: of 500,000 each holds about a thousand, which are read together."""


@lru_cache(maxsize=MOST_CACHED_IDS)
def reader_hash(reader: str) -> bytes:
    """Return the 22 characters that stand for a reader in keys."""
    return urlsafe_b64encode(blake2b(reader.encode(), digest_size=16, person=b"reader").digest())[:READER_TAG]


def split_tags(joined: bytes | None) -> list[bytes]:
    """Return the hashes of readers that are stored one behind the other."""
    return [joined[at : at + READER_TAG] for at in range(0, len(joined), READER_TAG)] if joined else []


@lru_cache(maxsize=MOST_CACHED_IDS)
def visitor_hash(visitor: str) -> bytes:
    """Return the 22 characters that stand for a visitor in keys."""
    return urlsafe_b64encode(blake2b(visitor.encode(), digest_size=16, person=b"visitor").digest())[:22]


@lru_cache(maxsize=MOST_CACHED_IDS)
def story_mark(story: str) -> bytes:
    """Return the 8 bytes that stand for a story in a meter."""
    return blake2b(story.encode(), digest_size=8, person=b"story").digest()


@lru_cache(maxsize=MOST_CACHED_IDS)
def owner_mark(reader: str) -> bytes:
    """Return the 8 bytes that stand for the reader whom a visitor's stories have joined."""
    return blake2b(reader.encode(), digest_size=8, person=b"owner").digest()


@lru_cache(maxsize=1_024)
def meter_code(name: str) -> bytes:
    """Return the 4 characters that stand for a meter's name in keys."""
    return urlsafe_b64encode(blake2b(name.encode(), digest_size=3, person=b"meter").digest())


@lru_cache(maxsize=MOST_CACHED_IDS)
def partition_of(name: str) -> int:
    """Return the partition (0 … 63) of a Stripe object by its name, such as `subscription:sub_1`."""
    return blake2b(name.encode(), digest_size=2, person=b"place").digest()[0] % PARTITIONS


def partition_tag(partition: int) -> bytes:
    """Return the hash tag of a partition, which also names its audit outbox."""
    return b"s:%d" % partition


def pass_tag(pass_id: str) -> bytes:
    """Return the hash tag of a story pass, which also names its audit outbox."""
    return b"p:" + pass_id.encode()


def import_tag(import_id: str) -> bytes:
    """Return the hash tag of an import, which also names its audit outbox."""
    return b"i:" + import_id.encode()


_OWN_NAME = re.compile(rb"(decision|idem|wrong):[0-9a-f]+(:at_work)?|signal:prices")


def is_own_name(rest: bytes) -> bool:
    """Return whether what follows the prefix names a `shared` key that holds a colon; no other title has such a key."""
    return _OWN_NAME.fullmatch(rest) is not None


class Keys:
    """Key names under one prefix (`PAYWALL_PREFIX`), so that several titles can share a store."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix.encode()
        # Keys that exist once, each in the slot of what it is used with.
        self.audit_log = self.tagged(b"audit", "log")
        """Hash: the audit chain, sequence number → record."""
        self.audit_head = self.tagged(b"audit", "head")
        """Hash: `seq` and `hash` of the newest record; `checkpoint` if older records were pruned."""
        self.audit_seen = self.tagged(b"audit", "seen")
        """Sorted set: IDs of entries that are in the chain, by sequence number, so that a repeat changes nothing."""
        self.audit_intents = self.tagged(b"audit", "intents")
        """Set: `tag:name:moment` of each writer that is about to write to the outbox of that tag."""
        self.audit_refused = self.tagged(b"audit", "refused")
        """List: outbox entries without a valid signature of this service; they never enter the chain."""
        self.grant_ends = self.tagged(b"ends", "grants")
        """Sorted set: `<grant> <reader's hash>` of each grant that is not revoked, by its end (epoch seconds)."""
        self.grant_details = self.tagged(b"ends", "about")
        """Hash: the members of `grant_ends` → [plan, start, reader or null]."""
        self.listed_passes = self.tagged(b"passes", "listed")
        """Sorted set with one score: creation time (13 digits, ms) and ID of each pass, so that members sort by time."""
        self.comparison_samples = self.tagged(b"comparisons", "samples")
        """Sorted set with one score: answers that differed from the incumbent's, by time (`comparison_samples`)."""
        self.merge_heirs = self.tagged(b"merge", "heirs")
        """Hash: hash of a merged reader → hash and ID of the reader that they are now (`lua/commit_merge.lua`)."""
        self.merge_members = self.tagged(b"merge", "members")
        """Hash: hash of a reader → the hashes of all readers who were merged into them (`split_tags`)."""
        self.merge_todo = self.tagged(b"merge", "todo")
        """Hash: hash of a merged reader → the merge, until it is finished (`merges`)."""
        self.merge_names = self.tagged(b"merge", "names")
        """Hash: hash of a merged reader → their ID."""

    def shared(self, name: str) -> bytes:
        """Return a key that exists once: `catchup`, `leader`, `policies`, `secret`, `title`, `decision:…`, `idem:…`, …"""
        return b"%b:%b" % (self.prefix, name.encode())

    def tagged(self, tag: bytes, name: str) -> bytes:
        """Return a key in the slot of a hash tag."""
        return b"%b:{%b}%b" % (self.prefix, tag, name.encode())

    def split(self, key: bytes) -> tuple[bytes, bytes]:
        """Return the hash tag of one of these keys and what follows it; two empty values for a key without one."""
        if not key.startswith(self.prefix + b":{"):
            return b"", b""
        tag, _, rest = key[len(self.prefix) + 2 :].partition(b"}")
        return tag, rest

    # One reader, or one visitor. `tag` is the result of `reader_hash` or `visitor_hash`.

    def reader(self, tag: bytes) -> bytes:
        """Hash: sources that can still open something, a field a source. The one key that an access check reads."""
        return b"%b:{%b}" % (self.prefix, tag)

    def past(self, tag: bytes) -> bytes:
        """Hash: sources that have ended, which an access check does not need."""
        return b"%b:{%b}past" % (self.prefix, tag)

    def history(self, tag: bytes) -> bytes:
        """List: every change of a source, oldest first."""
        return b"%b:{%b}history" % (self.prefix, tag)

    def held_prices(self, tag: bytes) -> bytes:
        """Hash: [price, lookup key, product] that a subscription of this reader had → [1, subscription, its creation]."""
        return b"%b:{%b}held" % (self.prefix, tag)

    def customers(self, tag: bytes) -> bytes:
        """Hash: name of a Stripe object → its number and Stripe customer, for the objects that this reader owns."""
        return b"%b:{%b}customers" % (self.prefix, tag)

    def erased(self, tag: bytes) -> bytes:
        """String: when this reader was erased (epoch seconds), as a release before 0.1.0 marked them."""
        return b"%b:{%b}erased" % (self.prefix, tag)

    def audited(self, tag: bytes) -> bytes:
        """Sorted set: sequence numbers of the audit records about this reader."""
        return b"%b:{%b}audited" % (self.prefix, tag)

    def gifts(self, tag: bytes) -> bytes:
        """Sorted set: the story passes that a reader gave this month and the last, by when (ms)."""
        return b"%b:{%b}gifts" % (self.prefix, tag)

    def reader_meter(self, tag: bytes, code: bytes) -> bytes:
        """String: the stories counted for a reader, packed (`meters`)."""
        return b"%b:{%b}m%b" % (self.prefix, tag, code)

    def visitor_meter(self, tag: bytes, code: bytes) -> bytes:
        """String: the stories counted for a visitor, packed."""
        return b"%b:{%b}v%b" % (self.prefix, tag, code)

    def outbox(self, tag: bytes) -> bytes:
        """List: audit entries that were written with a change in the slot of this tag and are not in the chain yet."""
        return b"%b:{%b}audit" % (self.prefix, tag)

    # Admins, the reader index, imports, providers, story passes, erasure, reporting.

    def admin(self, name: str) -> bytes:
        """Return a key that exists once, in the slot of the admins' own outbox (`outbox(ADMIN)`)."""
        return self.tagged(ADMIN, name)

    def index_partition(self, number: int) -> bytes:
        """String: a partition of the index of readers and grants (`reader_index`). It holds IDs in clear."""
        return b"%b:{index:%d}readers" % (self.prefix, number)

    def index_marks(self, name: str) -> bytes:
        """Sorted sets `announced`, `changed` and `imported`: readers to be indexed (`reader_index`). Hash: `state`."""
        return self.tagged(b"index", name)

    def import_state(self, import_id: str) -> bytes:
        """Hash: the state of an import."""
        return self.tagged(import_tag(import_id), "import")

    def import_rows(self, import_id: str) -> bytes:
        """Hash: number of a chunk → its rows, sealed."""
        return self.tagged(import_tag(import_id), "rows")

    def provider(self, provider: str, name: str) -> bytes:
        """`state` or `sources:<partition>` of a provider (`provider_sources`)."""
        return self.tagged(b"provider:" + provider.encode(), name)

    def story_pass(self, pass_id: str) -> bytes:
        """Hash: a story pass, and the readers and visitors that it admitted (`passes`)."""
        return self.tagged(pass_tag(pass_id), "pass")

    def erasure(self, name: str) -> bytes:
        """Hash: `marks` of erased readers, or the `keys` that make them (`erased_readers`)."""
        return self.tagged(b"erased", name)

    def alert(self, name: str) -> bytes:
        """`prices`, `bought`, `ownerless`, `trials` or `flags` (`alert_flags`)."""
        return self.tagged(b"attention", name)

    def known_stories(self, name: str) -> bytes:
        """`described`, a hash, or `asked`, a sorted set: what the site said of each story, and when (`known_stories`)."""
        return self.tagged(b"stories", name)

    def usage(self, name: str) -> bytes:
        """A bucket of counters, `d:<day>` or `h:<hour>`; `upsold`; or a process's last batch `p:<process>`."""
        return self.tagged(b"activity", name)

    # Stripe's objects and events. `name` is an `ObjectRef.name` such as `subscription:sub_1`, `partition` is its partition.

    def stripe_object(self, name: str) -> bytes:
        """Hash: what is known of an object (`objects`)."""
        return self._in_partition(partition_of(name), f"o:{name}")

    def pending_events(self, name: str) -> bytes:
        """Sorted set: events about this object that are not done, by their number."""
        return self._in_partition(partition_of(name), f"w:{name}")

    def copy_holders(self, name: str) -> bytes:
        """Sorted set: `letter:reader` of each reader with a copy, by the revision of the copy that was written last."""
        return self._in_partition(partition_of(name), f"h:{name}")

    def seats(self, name: str) -> bytes:
        """Sorted set: readers with a seat of this subscription, by when it was assigned (ms)."""
        return self._in_partition(partition_of(name), f"t:{name}")

    def removed_seats(self, name: str) -> bytes:
        """Sorted set: readers who lost a seat because fewer were paid for, by when it had been assigned (ms)."""
        return self._in_partition(partition_of(name), f"r:{name}")

    def invitations(self, name: str) -> bytes:
        """Sorted set: invitations to a seat of this subscription, by their end (ms); below zero if withdrawn."""
        return self._in_partition(partition_of(name), f"i:{name}")

    def accepted_invitations(self, name: str) -> bytes:
        """Hash: reader with a seat of this subscription → the invitations by which they got it, with spaces between."""
        return self._in_partition(partition_of(name), f"a:{name}")

    def customer_objects(self, customer: str) -> bytes:
        """Set: names of the objects of this Stripe customer, in the customer's own partition."""
        return self._in_partition(partition_of(f"customer:{customer}"), f"c:{customer}")

    def stripe_event(self, partition: int, event: str) -> bytes:
        """Hash: an event, its state, and the facts of its payload. It lies in the partition of its first object."""
        return self._in_partition(partition, f"e:{event}")

    def ledger(self, partition: int) -> bytes:
        """Sorted set: IDs of the events of this partition, by when they were received (ms)."""
        return self._in_partition(partition, "ledger")

    def inbox(self, partition: int) -> bytes:
        """Sorted set: IDs of the events that are not done, by when any process may work on them (ms)."""
        return self._in_partition(partition, "inbox")

    def dead_events(self, partition: int) -> bytes:
        """Sorted set: IDs of the events that were given up, by when (ms)."""
        return self._in_partition(partition, "dead")

    def refresh_queue(self, partition: int) -> bytes:
        """Sorted set: names of objects that have to be read from Stripe, by the time of the next try (ms)."""
        return self._in_partition(partition, "unread")

    def fan_out_queue(self, partition: int) -> bytes:
        """Sorted set: names of objects whose copies are out of date, by since when (ms)."""
        return self._in_partition(partition, "unspread")

    def recheck_queue(self, partition: int) -> bytes:
        """Sorted set: names of all objects of this partition, by when they change by themselves (ms, or infinite)."""
        return self._in_partition(partition, "due")

    def _in_partition(self, partition: int, rest: str) -> bytes:
        return b"%b:{s:%d}%b" % (self.prefix, partition, rest.encode())

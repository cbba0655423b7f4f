"""Fan out many objects at once, as after an import of links: some round trips for a batch of them.

What `fan_out` does for one object after another is done here step by step for all. An object that changes meanwhile, that
has seats, or whose related objects are not all known yet goes alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from service.adapters.batches import batched
from service.adapters.redis.readers.readers import RecordWrite, tombstone_of, write_of
from service.adapters.redis.stripe_objects.bulk_writes import BulkWrites, CustomerRow
from service.adapters.redis.stripe_objects.objects import NewOwner, Objects, StoredObject, WrittenCopies
from service.domain.sources import Source
from service.use_cases.subscriptions.fan_out import (
    OTHERS_CUSTOMER,
    ProjectionWriter,
    customer_to_list,
    holders_to_write,
)
from service.use_cases.subscriptions.object_refresh import Job, ObjectRefresh
from service.use_cases.subscriptions.owner_resolution import OwnerResolver, ResolvedOwner, customer_to_read
from service.use_cases.subscriptions.projections import copies_by_holder, customer_claims_of, is_expired
from service.use_cases.subscriptions.related_objects import related_facts

_BATCH = 100
"""Objects that are fanned out together."""


@dataclass(frozen=True)
class _Projection:
    """An object with its saved owner, the copies that it must have, and their rev."""

    obj: StoredObject
    found: ResolvedOwner
    wanted: Mapping[str, Source | None]
    rev: int

    @cached_property
    def due(self) -> list[str]:
        return holders_to_write(self.obj, self.wanted, self.rev)

    @cached_property
    def former(self) -> list[str]:
        return [holder for holder in self.obj.held if holder not in self.wanted]


@dataclass(frozen=True)
class BulkFanOut:
    """Fans out many objects. Raises: StoreUnavailable; what is not finished is marked in the store."""

    objects: Objects
    owners: OwnerResolver
    writes: BulkWrites
    projections: ProjectionWriter
    refresh: ObjectRefresh

    def fan_out_all(self, names: Sequence[str], now: float, cause: str, step: Callable[[], None]) -> None:
        """Fan out objects and all that depend on them. `step` is called between two batches.

        The objects of a customer are fanned out even if the customer reports nothing new to them: a process may have been
        killed in between. What has to be read from Stripe, such as a customer with claims, is left to the worker: hundreds
        of reads would outlast the lease of an import.
        """
        while names:
            following = list[str]()
            for some in batched(names, _BATCH):
                loaded, listed = self.objects.load_all(some), self.objects.list_objects_of_customers(some)
                due = [obj for obj in loaded if not obj.is_fanned_out]
                done, new = self._fan_out_together([obj for obj in due if _can_join(obj)], listed, now, cause)
                step()
                for name in [obj.name for obj in due if obj.name not in done]:
                    self.refresh.fan_out_object(name, Job(now, cause, may_read=lambda: False))
                    step()
                following += [*new, *(name for objects in listed.values() for name in objects)]
            names = list(dict.fromkeys(following))

    def _fan_out_together(
        self, objects: Sequence[StoredObject], listed: Mapping[str, Sequence[str]], now: float, cause: str
    ) -> tuple[set[str], list[str]]:
        """Return the names of the objects that have not changed meanwhile, and what has a new report from them."""
        found = self.owners.resolve_owners(objects)
        wanted = [copies_by_holder(obj, one.owner) for obj, one in zip(objects, found, strict=True)]
        revs = self.objects.save_owners(
            [
                NewOwner(obj, one.owner, one.unlinked, [holder for holder in copies if holder not in obj.held])
                for obj, one, copies in zip(objects, found, wanted, strict=True)
            ]
        )
        saved = [_Projection(*parts) for parts in zip(objects, found, wanted, revs, strict=True) if parts[-1]]
        facts = [
            fact for one in saved for fact in related_facts(one.obj, one.found, one.rev, listed.get(one.obj.name, ()))
        ]
        new = self.objects.write_all_related(facts, now)
        # The others' first fan-outs have requested these reads.
        first = [one.obj for one in saved if not one.obj.number(b"shown")]
        self.objects.request_reads([name for obj in first if (name := customer_to_read(obj))], now)
        written = self._write_copies(saved, now, cause)
        self.writes.write_customers([row for one in written for row in _customer_rows(one)])
        copies = [WrittenCopies(one.obj.name, one.rev, one.due, one.former) for one in written]
        shown = self.objects.record_copies(copies, last=True)
        done = {copies.name for copies, is_shown in zip(copies, shown, strict=True) if is_shown}
        return done, [fact.name for fact, is_new in zip(facts, new, strict=True) if is_new]

    def _write_copies(self, saved: Sequence[_Projection], now: float, cause: str) -> list[_Projection]:
        """Write copies and tombstones. Return the objects of which no reader was merged or has a later copy."""
        copies = [(one, *copy) for one in saved for copy in self._copies_of(one, now, cause)]
        outcomes = self.writes.write_copies([(reader, write) for _, reader, write in copies])
        judged = list(zip(copies, outcomes, strict=True))
        late = {one.obj.name for (one, _, write), outcome in judged if write.source and outcome.is_late(write.number)}
        # A source that a reader has had before can end earlier now; a new one takes nothing away.
        self.projections.refresh_known(
            {reader for (_, reader, write), outcome in judged if write.ended or outcome.before}, now
        )
        return [one for one in saved if one.obj.name not in late]

    def _copies_of(self, one: _Projection, now: float, cause: str) -> Iterator[tuple[str, RecordWrite]]:
        for holder in one.due:
            if (source := one.wanted[holder]) is not None:
                ended = is_expired(source, self.projections.catalogue, now)
                yield holder[2:], write_of(source, one.rev, ended=ended, now=now, cause=cause)
        for letter, reader in [(holder[0], holder[2:]) for holder in one.former]:
            if letter != "c":
                yield reader, tombstone_of(f"{letter}:{one.obj.ref.id}".encode(), one.rev, now=now, cause=cause)


def _can_join(obj: StoredObject) -> bool:
    """Return whether an object has few copies, and related objects that need no further reads."""
    if obj.ref.kind == "customer":
        return not obj.number(b"behind") and not obj.is_deleted
    facts, customer = obj.facts, customer_claims_of(obj)
    if obj.seats or obj.number(b"behind") or obj.ref.kind not in ("subscription", "session", "entitlements"):
        return False
    return facts is None or facts.customer is None or (customer is not None and customer.customer == facts.customer)


def _customer_rows(one: _Projection) -> list[CustomerRow]:
    """Return what is recorded with readers: the owner's customer, and that former holders own the object no longer."""
    customer, holders = customer_to_list(one.obj, one.due)
    rows = [CustomerRow(holder[2:], one.obj.name, one.rev, customer) for holder in holders]
    rows += [CustomerRow(h[2:], one.obj.name, one.rev, None) for h in one.former if h[0] not in OTHERS_CUSTOMER]
    if one.obj.facts is None and one.obj.ref.kind != "customer" and one.found.owner.reader is not None:
        # Stripe has not reported the object yet, so that there is no copy; it is listed as theirs all the same.
        rows.append(CustomerRow(one.found.owner.reader, one.obj.name, one.rev, None))
    return rows

"""Fan out many objects at once, as after an import of links.

Most objects that an import links have no source: customers of whom Stripe has reported nothing else, or objects that Stripe
has not reported yet. Those are fanned out together, in some round trips for hundreds. The others go one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.adapters.redis.readers.customer_rows import CustomerRow, CustomerRows
from service.adapters.redis.stripe_objects.objects import NewOwner, Objects, StoredObject, WrittenCopies
from service.use_cases.subscriptions.object_refresh import Job, ObjectRefresh
from service.use_cases.subscriptions.owner_resolution import OwnerResolver, ResolvedOwner
from service.use_cases.subscriptions.projections import copies_by_holder


@dataclass(frozen=True)
class BulkFanOut:
    """Fans out many objects. Raises: StoreUnavailable; what is not finished is marked in the store."""

    objects: Objects
    customers: CustomerRows
    owners: OwnerResolver
    refresh: ObjectRefresh

    def fan_out_all(self, names: Sequence[str], now: float, cause: str, step: Callable[[], None]) -> None:
        """Fan out objects and all that depend on them. `step` is called between two of them.

        The objects of a customer are fanned out even if the customer reports nothing new to them: a process may have been
        killed in between. What has to be read from Stripe, such as a customer with claims, is left to the worker: hundreds
        of reads would outlast the lease of an import.
        """
        if not names:
            return
        loaded, with_objects = self.objects.load_all(names), self.objects.list_customers_with_objects(names)
        due = [obj for obj in loaded if not obj.is_fanned_out]
        shown = self._fan_out_plain([obj for obj in due if _has_no_source(obj) and obj.name not in with_objects])
        owned = [obj.ref.id for obj in loaded if obj.name in with_objects]
        behind = [name for customer in owned for name in self.objects.list_customer_objects(customer)]
        for name in [*(obj.name for obj in due if obj.name not in shown), *behind]:
            self.refresh.fan_out_objects([name], Job(now, cause, may_read=lambda: False))
            step()

    def _fan_out_plain(self, plain: Sequence[StoredObject]) -> set[str]:
        """Fan out objects without a source. Return the names of those that have not changed meanwhile."""
        found = self.owners.resolve_owners_of(plain)
        holders = [list(copies_by_holder(obj, one.owner)) for obj, one in zip(plain, found, strict=True)]
        revs = self.objects.save_owners(
            [
                NewOwner(obj, one.owner, one.unlinked, [holder for holder in held if holder not in obj.held])
                for obj, one, held in zip(plain, found, holders, strict=True)
            ]
        )
        rows, written = list[CustomerRow](), list[WrittenCopies]()
        for obj, one, held, rev in zip(plain, found, holders, revs, strict=True):
            if rev:
                former = [holder for holder in obj.held if holder not in held]
                rows += _customer_rows(obj, one, former, rev)
                written.append(WrittenCopies(obj.name, rev, held, former))
        self.customers.write_all(rows)
        shown = self.objects.record_many(written, last=True)
        return {copies.name for copies, is_shown in zip(written, shown, strict=True) if is_shown}


def _has_no_source(obj: StoredObject) -> bool:
    """Return whether a fan-out has nothing to write but whose customer this is."""
    is_bare = obj.ref.kind == "customer" or (obj.ref.kind == "subscription" and obj.facts is None)
    return is_bare and not obj.seats and not obj.number(b"behind") and all(holder[0] == "c" for holder in obj.held)


def _customer_rows(obj: StoredObject, found: ResolvedOwner, former: Sequence[str], rev: int) -> list[CustomerRow]:
    """Return what is recorded with readers: the owner's customer, and that former holders own it no longer."""
    rows = [CustomerRow(holder[2:], obj.name, rev, None) for holder in former]
    if found.owner.reader is not None:
        customer = obj.ref.id if obj.ref.kind == "customer" else None
        rows.append(CustomerRow(found.owner.reader, obj.name, rev, customer))
    return rows

"""Read what is known of the linked subscriptions: from Stripe by lists where a key is set, else from the store.

A list costs a request for each hundred subscriptions of the account, at the pace that every request to Stripe keeps. What
has been read is kept in a file, so that a read that was cut off resumes: at once after a failure of Stripe's that passes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import islice

from service.adapters.batches import batched
from service.adapters.read_progress import ReadPage, ReadProgress
from service.adapters.redis.stripe_objects import facts_codec
from service.adapters.redis.stripe_objects.objects import Objects, StoredObject
from service.domain.errors import StripeUnavailable
from service.domain.stripe_facts import ObjectRef, StripeFacts
from service.use_cases.imports.pacing import retry_while_unavailable
from service.use_cases.subscriptions.object_refresh import StripeApi
from service.use_cases.takeover.stripe_view import StripeLink, StripeView

_PAGE = 100
_BATCH = 200

Count = Callable[[int], None]
"""Receives how many subscriptions have been read so far."""


@dataclass(frozen=True)
class StripeReading:
    """Reads subscriptions. Raises: StripeFailure where a key is set, StoreUnavailable.

    `pauses`: seconds after each failure of Stripe's until the read goes on; one more in a row ends it.
    """

    gateway: StripeApi | None
    objects: Objects
    progress: ReadProgress
    account: str
    """Names the account and the store, so that a read of another one does not resume."""
    pauses: Sequence[float] = (0.5, 1, 2)

    def read(self, links: Collection[StripeLink], now: float, count: Count) -> StripeView:
        """Return what is known of the subscriptions that these links cover."""
        if self.gateway is None or not links:
            return self._from_store(links)
        read, pauses = 0, iter(self.pauses)

        def progress(seen: int) -> None:
            nonlocal read, pauses
            if seen > read:
                read, pauses = seen, iter(self.pauses)
            count(seen)

        while True:
            try:
                return _view(self._read_stripe(self.gateway, links, now, progress), complete=True)
            except StripeUnavailable:
                if (pause := next(pauses, None)) is None:
                    raise
            threading.Event().wait(pause)

    def _read_stripe(
        self, gateway: StripeApi, links: Collection[StripeLink], now: float, count: Count
    ) -> Iterator[StripeFacts]:
        wanted = {(link.kind, link.id) for link in links}
        what = blake2b("\n".join([self.account, *sorted(map(":".join, wanted))]).encode(), digest_size=16).hexdigest()
        pages = self.progress.load(what, now)
        seen = 0
        if not pages:
            self.progress.start(what, now)
        for page in pages:
            seen += _PAGE
            for name, text in page.rows:
                yield facts_codec.unpack_facts(ObjectRef("subscription", name), text.encode())
        count(seen)
        if pages:
            new = _until(gateway.list_subscriptions(), pages[0].first)
            yield from (facts for facts in new if _is_wanted(facts, wanted))
        listed = gateway.list_subscriptions(pages[-1].last if pages else None)
        while page_facts := list(islice(listed, _PAGE)):
            kept = [facts for facts in page_facts if _is_wanted(facts, wanted)]
            rows = [(facts.ref.id, facts_codec.pack_facts(facts).decode()) for facts in kept]
            self.progress.add(ReadPage(page_facts[0].ref.id, page_facts[-1].ref.id, rows))
            seen += len(page_facts)
            count(seen)
            yield from kept
        self.progress.discard()

    def _from_store(self, links: Collection[StripeLink]) -> StripeView:
        facts = (obj.facts for _, obj in self.iterate_stored(links))
        return _view((one for one in facts if one is not None), complete=False)

    def iterate_stored(self, links: Collection[StripeLink]) -> Iterator[tuple[StripeLink, StoredObject]]:
        """Yield each subscription that is stored here and that a link covers."""
        for batch in batched(sorted(links), _BATCH):
            yield from retry_while_unavailable(partial(self._load_stored, batch))

    def _load_stored(self, links: Sequence[StripeLink]) -> list[tuple[StripeLink, StoredObject]]:
        pairs = [(f"subscription:{link.id}", link) for link in links if link.kind == "subscription"]
        customers = {f"customer:{link.id}": link for link in links if link.kind == "customer"}
        for customer, names in self.objects.list_objects_of_customers(list(customers)).items():
            pairs += [(name, customers[customer]) for name in names if name.startswith("subscription:")]
        stored = self.objects.load_all([name for name, _ in pairs])
        return [(link, obj) for (_, link), obj in zip(pairs, stored, strict=True) if obj.facts is not None]


def _is_wanted(facts: StripeFacts, wanted: Collection[tuple[str, str]]) -> bool:
    return ("subscription", facts.ref.id) in wanted or ("customer", facts.customer or "") in wanted


def _until(listed: Iterator[StripeFacts], last: str) -> Iterator[StripeFacts]:
    """Yield what was created since an earlier read began: the list has the newest first."""
    for facts in listed:
        if facts.ref.id == last:
            return
        yield facts


def _view(found: Iterator[StripeFacts], *, complete: bool) -> StripeView:
    by_customer: dict[str, list[StripeFacts]] = {}
    by_id: dict[str, StripeFacts] = {}
    for facts in found:
        if facts.ref.id not in by_id:
            by_customer.setdefault(facts.customer or "", []).append(facts)
        by_id[facts.ref.id] = facts
    return StripeView(by_customer, by_id, complete)

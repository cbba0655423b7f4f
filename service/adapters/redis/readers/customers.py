"""Which of Stripe's customers are a reader's: known by the objects of theirs that the reader holds.

A hash in the reader's slot, object → number and customer. It follows the copies of sources: the number that orders them
orders it too, and an object that went to another reader leaves its number without a customer.
"""

from __future__ import annotations

from service.adapters.redis.client.keys import reader_hash
from service.adapters.redis.client.scripts import load
from service.adapters.redis.client.store import Store

PUT_CUSTOMER = load("put_customer")


class Customers:
    """Every method raises `StoreUnavailable` where the store cannot be reached."""

    def __init__(self, store: Store) -> None:
        self._link = store.link
        self._keys = store.keys

    def put(self, reader: str, name: str, number: int, customer: str | None) -> None:
        """The object `name`, of this customer, is the reader's; `None`: it is no more."""
        key = self._keys.customers(reader_hash(reader))
        self._link.run(PUT_CUSTOMER, [key], [name, number, customer or ""])

    def objects(self, reader: str) -> list[str]:
        """The names of all objects that are or were the reader's; `Readers.customers` has the customers."""
        key = self._keys.customers(reader_hash(reader))
        (row,) = self._link.read([(key, (b"HKEYS", key))])
        return [name.decode() for name in row]

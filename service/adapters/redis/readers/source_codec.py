"""The stored form of a source: a compact JSON array, with the schema's number first and then the number of the write.

    subscription, seat, gift   [1, n, status, confirmed, items, created, trial_end, cancel_at, at_period_end, ended_at, since]
                               items: [[price, lookup_key, product, quantity, start, end], …]
    pass                       [1, n, price, lookup_key, product, paid_at, refunded, disputed, confirmed, gift, others]
                               others: [[price, lookup_key, product], …]
    grant                      [1, n, plan, features, reason, start, until, actor, created_at, revoked_at, import]
    Stripe's entitlements      [1, n, lookup_keys, confirmed]
    another provider's         [1, n, plan, start, until, ended_at]
    tombstone                  [1, n]        (the source belongs to another reader now)

A price that a reader's subscription had is kept apart, under [price, lookup_key, product] as [1, subscription, created].

Empty values at the end are omitted. The first letter of the field is the type, the rest is the ID. `n` orders writes: a lower
number never overwrites a higher (`lua/write_source.lua` reads it from the text).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

from service.adapters.redis.records import decode_list, encode_json
from service.domain.errors import NewerSchema
from service.domain.prices import HeldPrice
from service.domain.sources import External, Grant, Item, Pass, Source, StripeEntitlements, Subscription

SCHEMA = 1


ROLES: dict[str, Literal["subscription", "seat", "gift"]] = {"s": "subscription", "t": "seat", "f": "gift"}
LETTERS = {role: letter for letter, role in ROLES.items()}


def field_of(source: Source) -> bytes:
    """Return the hash field of a source: a letter for its type, a colon, its ID."""
    match source:
        case Subscription():
            return f"{LETTERS[source.role]}:{source.id}".encode()
        case Pass():
            return f"p:{source.id}".encode()
        case Grant():
            return f"g:{source.id}".encode()
        case StripeEntitlements():
            return f"e:{source.customer}".encode()
        case External():
            return f"x:{source.id}".encode()


def encode(source: Source, number: int) -> bytes:
    """Return the record of a source; `number` orders its writes."""
    return _pack([SCHEMA, number, *_values(source)], least=3)


def tombstone(number: int) -> bytes:
    """Return the record that stays with a reader whose source went to another."""
    return _pack([SCHEMA, number])


def _pack(values: list[Any], least: int = 2) -> bytes:
    """Encode without empty values at the end, but `least` values: so a source with empty values alone is no tombstone."""
    while values and not values[-1] and values[-1] is not True and len(values) > least:
        values.pop()
    return encode_json(values)


def _values(source: Source) -> list[Any]:
    match source:
        case Subscription(_, status, items, created, trial_end, cancel_at, at_period_end, ended_at, confirmed):
            packed = [[i.price, i.lookup_key, i.product, i.quantity, i.start, i.end] for i in items]
            ends = [trial_end, cancel_at, int(at_period_end), ended_at, source.since]
            return [status, int(confirmed), packed, created, *ends]
        case Pass(_, price, lookup_key, product, paid_at, refunded, disputed, confirmed, gift, others):
            flags = [int(refunded), int(disputed), int(confirmed), int(gift)]
            return [price, lookup_key, product, paid_at, *flags, others]
        case Grant(_, plan, features, reason, start, until, actor, created_at, revoked_at, import_id):
            return [plan, features, reason, start, until, actor, created_at, revoked_at, import_id]
        case StripeEntitlements(_, lookup_keys, confirmed):
            return [lookup_keys, int(confirmed)]
        case External(_, plan, start, until, ended_at):
            return [plan, start, until, ended_at]


def held_prices(source: Source | None) -> list[HeldPrice]:
    """Return the prices that a subscription has, if it has started."""
    if not isinstance(source, Subscription) or not source.has_started:
        return []
    return [HeldPrice(i.price, i.lookup_key, i.product, source.id, source.created) for i in source.items]


def encode_held_price(held: HeldPrice) -> tuple[bytes, bytes]:
    """Return the field and the record of a price."""
    price = encode_json([held.price, held.lookup_key, held.product])
    return price, encode_json([SCHEMA, held.subscription, held.created])


def decode_held_price(field: bytes, record: bytes) -> HeldPrice:
    """Return a price from its field and record. Raises: NewerSchema if a newer service wrote it."""
    return HeldPrice(*decode_list(field), *_read(record)[1:])


def number_of(record: bytes) -> int:
    return int(_read(record)[1])


@lru_cache(maxsize=4_096)
def decode(field: bytes, record: bytes) -> Source | None:
    """Return the source of a record, or `None` for a tombstone. Raises: NewerSchema if a newer service wrote it."""
    values = _read(record)
    if len(values) == 2:
        return None
    letter, _, name = field.decode().partition(":")
    values = values[2:] + [None] * 10
    if letter in ROLES:
        return _subscription(name, ROLES[letter], values)
    if letter == "p":
        price, lookup_key, product, paid_at, refunded, disputed, confirmed, gift, others = values[:9]
        flags = (bool(refunded), bool(disputed), bool(confirmed), bool(gift))
        lines = tuple((line[0], line[1], line[2]) for line in others or ())
        return Pass(name, price, lookup_key, product, paid_at or 0, *flags, lines)
    if letter == "g":
        plan, features, reason, start, until, actor, created_at, revoked_at, import_id = values[:9]
        return Grant(
            name, plan, tuple(features or ()), reason, start or 0, until, actor, created_at or 0, revoked_at, import_id
        )
    if letter == "e":
        return StripeEntitlements(name, tuple(values[0] or ()), bool(values[1]))
    if letter == "x":
        plan, start, until, ended_at = values[:4]
        return External(name, plan, start or 0, until, ended_at)
    raise NewerSchema(f"a record of the unknown kind {letter!r}")


def _subscription(name: str, role: Literal["subscription", "seat", "gift"], values: list[Any]) -> Subscription:
    status, confirmed, packed, created, trial_end, cancel_at, at_period_end, ended_at, since = values[:9]
    items = tuple(Item(*item) for item in packed or ())
    return Subscription(
        id=name,
        status=status,
        items=items,
        created=created or 0,
        trial_end=trial_end,
        cancel_at=cancel_at,
        cancel_at_period_end=bool(at_period_end),
        ended_at=ended_at,
        confirmed=bool(confirmed),
        role=role,
        since=since,
    )


def _read(record: bytes) -> list[Any]:
    values = decode_list(record)
    if values[0] != SCHEMA:
        raise NewerSchema(f"a record of schema {values[0]}, this service knows {SCHEMA}")
    return values

"""What the service refuses or cannot do, as exceptions that every layer may raise.

`service/entrypoints/responses/errors.py` holds one row for each: its status, problem type, title and message.

DomainError
├── InvalidFields           fields of a request are wrong; FileTooLarge and WrongRows are of their own kind
├── Unknown…                nothing has that ID
├── …                       the request does not fit the current state
└── unavailable: StoreUnavailable, NewerSchema, StripeFailure (StripeUnavailable, StripeRefused, NoSuchObject)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

FieldErrors = Sequence[tuple[str, str]]
"""Pairs of a field (`story.parts.0`) and what is wrong with it."""


class DomainError(Exception):
    """Something that the service refuses or cannot do. `errors` names the fields at fault, if any are."""

    errors: FieldErrors = ()


class InvalidFields(DomainError):
    """Fields have values that are not allowed."""

    def __init__(self, errors: Iterable[tuple[str, str]]) -> None:
        self.errors = list(errors)
        super().__init__("; ".join(f"{field}: {message}" for field, message in self.errors))


class FileTooLarge(DomainError):
    """A file has more than `most`: `50000 rows`, `16 MiB`."""

    def __init__(self, most: str) -> None:
        super().__init__(most)
        self.most = most


class WrongRows(DomainError):
    """Rows of a file are wrong, so nothing was imported. `rows`: line, field and message of each mistake, by line."""

    def __init__(self, rows: Iterable[tuple[int, str, str]]) -> None:
        self.rows = sorted(rows, key=lambda row: row[0])
        self.errors = [(f"line {line}, {field}", message) for line, field, message in self.rows]
        super().__init__(f"{len(self.rows)} mistakes")


class UnknownGrant(DomainError):
    """The reader has no grant with this ID."""


class RevokedGrant(DomainError):
    """The grant is revoked, which is final."""


class UnknownApproval(DomainError):
    """No pending approval has this ID: it never existed, it was settled, or it expired."""


class OwnApproval(DomainError):
    """The person who asked for an approval tries to confirm it, perhaps with another key of theirs."""


class NoLongerPossible(DomainError):
    """What was asked for no longer fits; `errors` name the reasons."""

    def __init__(self, errors: FieldErrors) -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in errors))
        self.errors = errors


class UnknownImport(DomainError):
    """No import has this ID, or it is no longer kept."""


class UndoneImport(DomainError):
    """The import was undone, which is final."""


class CannotUndo(DomainError):
    """Imports of this kind cannot be undone."""


class LargestDrop(DomainError):
    """A snapshot would end `ending` of a provider's `running` subscriptions, which is more than `share` of them."""

    def __init__(self, ending: int, running: int, share: float) -> None:
        super().__init__(f"{ending} of {running} would end")
        self.ending, self.running, self.share = ending, running, share


class SnapshotUnfinished(DomainError):
    """An earlier snapshot of the provider is not in force yet."""


class UnknownProvider(DomainError):
    """The configuration has no provider of this name; `known` are those that it has."""

    def __init__(self, known: Sequence[str]) -> None:
        super().__init__(f"{len(known)} providers")
        self.known = known


class UnknownExternal(DomainError):
    """The reader has no source of the provider with this ID."""


class UnknownSubscription(DomainError):
    """Neither the store nor Stripe knows the subscription."""


class EndedSubscription(DomainError):
    """The subscription has ended, so its owner can invite nobody."""


class NotLinked(DomainError):
    """The customer or the subscription is not linked to this reader."""


class NoSeats(DomainError):
    """No item of the subscription belongs to a plan with seats."""


class SeatsFull(DomainError):
    """All seats that are paid for are taken."""


class NotGroupOwner(DomainError):
    """The subscription is not the reader's, so they cannot manage its seats."""


class InvitationsFull(DomainError):
    """As many invitations are open as seats are free."""


class UnknownInvitation(DomainError):
    """An invitation opens no seat: it was used, withdrawn or changed, it has ended, or there is none."""


class CannotMerge(DomainError):
    """Two readers cannot be merged. `why` is a sentence without its full stop."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class UnknownEvent(DomainError):
    """The ledger does not hold the event, or no longer."""


class UnknownStory(DomainError):
    """The tier of a story is not known: the site has not asked about it within 90 days, or `tier` no longer exists."""

    def __init__(self, story: str, tier: str | None = None) -> None:
        super().__init__(story)
        self.story, self.tier = story, tier


class UnknownPass(DomainError):
    """No story pass has this ID, or it ended too long ago."""


class NoGifts(DomainError):
    """No plan that the reader holds includes gifts."""


class GiftsUsed(DomainError):
    """The reader has used this month's gifts: `limit` of them; the next month begins at `resets_at` (epoch seconds)."""

    def __init__(self, limit: int, resets_at: int) -> None:
        super().__init__("this month's gifts are used")
        self.limit, self.resets_at = limit, resets_at


class NameInUse(DomainError):
    """A key named `name` exists."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class UnknownKey(DomainError):
    """No key has this name."""


class EnvironmentKey(DomainError):
    """The key named `name` is set in the environment, so it cannot be ended here."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class LiveSubscription(DomainError):
    """A subscription pays for the reader; `ids` are all of them."""

    def __init__(self, ids: Sequence[str]) -> None:
        super().__init__(f"{len(ids)} live subscriptions")
        self.ids = ids


class UnknownDecision(DomainError):
    """No decision of the last seven days has this ID."""


class AlreadySubscribed(DomainError):
    """The reader holds the plan with the name `plan` by a running subscription: a group's, if the plan has seats."""

    def __init__(self, plan: str, *, has_seats: bool = False) -> None:
        super().__init__(plan)
        self.plan, self.has_seats = plan, has_seats


class NoCustomer(DomainError):
    """The reader has no customer at Stripe."""


class UnknownSession(DomainError):
    """Stripe does not know the Checkout session."""


class StoreUnavailable(DomainError):
    """The store cannot be reached, does not answer in time, or cannot be written now.

    `why` is one constant word, for a metric's label and a log line: refused, timeout, lost, dns, certificate, tls,
    auth, noperm, readonly, noreplicas, clusterdown, loading, masterdown, misconf, oom, busy, clients, no_master, moved,
    tryagain, protocol, open (the circuit breaker: nothing was asked), closed (by this service). The text says
    more than that word where more is known, and why an open circuit breaker opened. It holds no secret.
    """

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(detail or why)
        self.why = why


class ListsNotReady(DomainError):
    """The index of readers and grants is built for the first time, or was lost: lists would be incomplete."""


class NewerSchema(DomainError):
    """A newer version of the service wrote a record; this one does not guess what it means."""


class StripeFailure(DomainError):
    """A call to Stripe failed. `why` is a constant word, fit for a log and a metric."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class StripeUnavailable(StripeFailure):
    """Stripe is unreachable, fails, or limits the rate. `retry_after`: seconds after which a retry is worthwhile."""

    def __init__(self, why: str, retry_after: float = 1.0) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class StripeRefused(StripeFailure):
    """Stripe refuses the request: the key is wrong or lacks a permission, or a parameter is wrong.

    `param` is the parameter's name, empty where Stripe names none, and `message` Stripe's own sentence.
    """

    def __init__(self, why: str, param: str = "", message: str = "") -> None:
        super().__init__(why)
        self.param, self.message = param, message


class NoSuchObject(StripeFailure):
    """Stripe has no such object in this mode: 404, or 400 with `resource_missing`, for the ID in `param`."""

    def __init__(self, param: str = "", message: str = "") -> None:
        super().__init__("no_such_object")
        self.param, self.message = param, message

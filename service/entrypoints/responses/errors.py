"""The error table: status, problem type, title and message of each exception of the domain, for every entrypoint.

HTTP answers an error as an RFC 9457 problem, the staff pages show its title and message, and the command line prints the
message and exits with status 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.domain import errors
from service.domain.errors import DomainError
from service.domain.times import write_time

STATUSES: dict[int, tuple[str, str]] = {
    400: ("not-json", "Bad request"),
    401: ("no-key", "Authentication required"),
    403: ("forbidden", "Permission denied"),
    404: ("not-found", "Not found"),
    405: ("method-not-allowed", "Method not allowed"),
    409: ("conflict", "Conflict"),
    408: ("too-slow", "Too slow"),
    413: ("too-large", "Too large"),
    414: ("path-too-long", "Path too long"),
    415: ("not-json-type", "Unsupported content type"),
    422: ("invalid", "Invalid input"),
    429: ("too-many", "Too many attempts"),
    500: ("internal", "Service error"),
    503: ("store-unavailable", "Service unavailable"),
}
"""Status → the problem's stable type and title, where an error has none of its own."""

MOST_ERRORS = 500
"""Fields at fault that an answer names one by one."""
_IN_THE_MESSAGE = 5
_LONGEST_NAME = 200


class Problem(Exception):
    """A refusal as an entrypoint shows it.

    `errors` are pairs of a field (`story.parts.0`) and what is wrong with it; of a file, `rows` have the line too.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Iterable[tuple[str, str]] = (),
        kind: str | None = None,
        title: str | None = None,
        headers: Mapping[str, str] | None = None,
        rows: Sequence[tuple[int, str, str]] = (),
    ) -> None:
        super().__init__(detail)
        usual_kind, usual_title = STATUSES.get(status, ("error", "The request was refused"))
        self.status = status
        self.detail = detail
        self.errors = list(errors)
        self.kind = kind or usual_kind
        self.title = title or usual_title
        self.headers = dict(headers or {})
        self.rows = rows


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One exception: `message` is a text, or a function of the exception; without a type or title the status' own."""

    error: type[DomainError]
    status: int
    message: str | Callable[[Any], str]
    kind: str | None = None
    title: str | None = None


def shown_name(name: str) -> str:
    """Return a field's name as it can be shown: the caller chose it, so it may be endless or hold half a surrogate pair."""
    return name[:_LONGEST_NAME].encode("utf-8", "backslashreplace").decode()


def _summary(error: DomainError) -> str:
    text = "; ".join(f"{shown_name(field or 'body')}: {message}" for field, message in error.errors[:_IN_THE_MESSAGE])
    more = len(error.errors) - MOST_ERRORS
    return f"{text}; and {more} more than are named" if more > 0 else text


def _wrong_rows(error: errors.WrongRows) -> str:
    lines = len({line for line, _, _ in error.rows})
    line, field, message = error.rows[0]
    wrong = "1 line is" if lines == 1 else f"{lines} lines are"
    return f"{wrong} wrong; nothing was imported. Line {line}, {field}: {message}"


def _gifts_used(error: errors.GiftsUsed) -> str:
    return f"All {error.limit} gifts of this month are used; the next month begins at {write_time(error.resets_at)}."


def _unknown_story(error: errors.UnknownStory) -> str:
    if error.tier is not None:
        return f"The site last named the tier {error.tier} for this story, and there no longer is such a tier."
    if "://" in error.story:
        return "This is not the ID of a known story, nor an address by story_url in paywall.toml."
    return "The site has not asked about this story within 90 days, so its tier is not known. IDs are case-sensitive."


def largest_drop_text(error: errors.LargestDrop) -> str:
    """Return what a refused snapshot would have done."""
    found = f"This snapshot would end {error.ending} of the {error.running} running subscriptions"
    return f"{found}, more than largest_drop allows ({error.share:.0%}). Check the file; if it is right, force it."


def _unknown_provider(error: errors.UnknownProvider) -> str:
    known = f"there are {', '.join(error.known)}" if error.known else "there is none: add a table [providers.<name>]"
    return f"paywall.toml has no such provider; {known}."


def _already_subscribed(error: errors.AlreadySubscribed) -> str:
    what = "its number of seats" if error.has_seats else "it"
    return (
        f"This reader already holds {error.plan} by a running subscription. "
        f"They can change {what} where it is billed: for Stripe, open the customer portal with POST /v1/portal."
    )


def _live_subscription(error: errors.LiveSubscription) -> str:
    ids = ", ".join(error.ids)
    return f"A subscription pays for this reader ({ids}). End it where it is billed first, or force the erasure."


def _store_unavailable(error: errors.StoreUnavailable) -> str:
    if error.why == "oom":
        return "The store's memory is full. Raise its limit, and check whether a change was made before you retry it."
    return "The store is unavailable, so nothing can be read or changed. Check whether a change was made before you retry it."


def _stripe_unavailable(error: errors.StripeUnavailable) -> str:
    return "No Stripe key is set, so nothing can be sold here." if error.why == "no_key" else _TRY_STRIPE_AGAIN


def _stripe_refused(error: errors.StripeFailure) -> str:
    return f"Stripe refused the request ({error.why}); `paywall doctor` reports more."


_TRY_STRIPE_AGAIN = "Stripe cannot be reached now; try again."
_STRIPE_REFUSED = ("stripe-refused", "Stripe refused the request")

ERRORS: tuple[ErrorRow, ...] = (
    ErrorRow(errors.InvalidFields, 422, _summary),
    ErrorRow(errors.FileTooLarge, 413, lambda e: f"The file has more than {e.most}; import it in parts."),
    ErrorRow(errors.WrongRows, 422, _wrong_rows, "wrong-rows", "Rows are wrong"),
    ErrorRow(errors.UnknownGrant, 404, "This reader has no grant with this ID."),
    ErrorRow(
        errors.RevokedGrant,
        409,
        "This grant was revoked and cannot be changed. Create a new grant.",
        "grant-revoked",
        "The grant was revoked",
    ),
    ErrorRow(errors.UnknownApproval, 404, "No pending approval has this ID. It was already settled, or it expired."),
    ErrorRow(
        errors.OwnApproval,
        409,
        "You requested this yourself, or this key may be one that the requester created. Another admin must approve it.",
        "own-approval",
        "Another admin must approve this",
    ),
    ErrorRow(
        errors.NoLongerPossible,
        409,
        "This is no longer possible. Reject it and make a new request.",
        "no-longer-possible",
        "The request is no longer possible",
    ),
    ErrorRow(errors.UnknownImport, 404, "No import has this ID, or it is no longer kept."),
    ErrorRow(
        errors.UndoneImport,
        409,
        "This import was undone and cannot be changed. Import the file again.",
        "import-undone",
        "The import was undone",
    ),
    ErrorRow(
        errors.CannotUndo,
        409,
        "A snapshot can’t be undone. Send the file before it again.",
        "cannot-undo",
        "This can’t be undone",
    ),
    ErrorRow(
        errors.LargestDrop, 409, largest_drop_text, "largest_drop", "The snapshot would end too many subscriptions"
    ),
    ErrorRow(
        errors.SnapshotUnfinished,
        409,
        "The snapshot before is not in force yet. Try again in a minute.",
        "snapshot-unfinished",
        "An earlier snapshot is unfinished",
    ),
    ErrorRow(errors.UnknownProvider, 404, _unknown_provider),
    ErrorRow(errors.UnknownExternal, 404, "This reader has no subscription of this provider with this ID."),
    ErrorRow(errors.UnknownSubscription, 404, "Neither this service nor Stripe knows this subscription."),
    ErrorRow(errors.EndedSubscription, 404, "This subscription has ended, so its seats give no access any more."),
    ErrorRow(
        errors.NotLinked,
        404,
        "This is not linked to this reader. Only an admin’s link can be removed; an owner by metadata is changed in Stripe.",
    ),
    ErrorRow(errors.NoSeats, 409, "This subscription has no plan with seats.", "no-seats"),
    ErrorRow(errors.SeatsFull, 409, "All seats are assigned. Remove one first, or buy more seats.", "seats-full"),
    ErrorRow(
        errors.NotGroupOwner,
        403,
        "The subscription belongs to another reader, or to none. Only its owner manages its seats.",
        "not-owner",
        "Not the owner of this group",
    ),
    ErrorRow(
        errors.InvitationsFull,
        409,
        "Each free seat has an open invitation. Withdraw an invitation or remove a seat first, or buy more seats.",
        "invitations-full",
        "No seat is free for another invitation",
    ),
    ErrorRow(
        errors.UnknownInvitation,
        404,
        "This invitation is not valid: it was used, withdrawn or changed, it has expired, or its group has ended.",
        "invitation-not-valid",
        "The invitation is not valid",
    ),
    ErrorRow(errors.CannotMerge, 409, lambda e: f"{e.why[:1].upper()}{e.why[1:]}.", "cannot-merge"),
    ErrorRow(errors.UnknownEvent, 404, "No event of the last 35 days has this ID."),
    ErrorRow(errors.UnknownStory, 404, _unknown_story),
    ErrorRow(errors.UnknownPass, 404, "No gift link has this ID, or it expired more than 90 days ago."),
    ErrorRow(
        errors.NoGifts,
        409,
        "No plan that this reader holds includes gifts (gifts_per_month).",
        "no-gifts",
        "This reader has no gifts",
    ),
    ErrorRow(errors.GiftsUsed, 409, _gifts_used, "gifts-used", "This month's gifts are used"),
    ErrorRow(
        errors.NameInUse,
        409,
        lambda e: f"The name {e.name} is in use. Revoke that key first, or choose another name.",
        "name-in-use",
        "The name is in use",
    ),
    ErrorRow(errors.UnknownKey, 404, "No key has this name."),
    ErrorRow(
        errors.EnvironmentKey,
        409,
        lambda e: f"{e.name} is set in the environment: remove it from PAYWALL_ADMIN_KEYS or PAYWALL_SITE_KEYS.",
        "environment-key",
        "The key is set in the environment",
    ),
    ErrorRow(errors.LiveSubscription, 409, _live_subscription, "live-subscription", "A subscription is live"),
    ErrorRow(errors.UnknownDecision, 404, "No decision of the last seven days has this ID."),
    ErrorRow(
        errors.AlreadySubscribed,
        409,
        _already_subscribed,
        "already-subscribed",
        "Already subscribed",
    ),
    ErrorRow(errors.NoCustomer, 404, "This reader has no customer at Stripe."),
    ErrorRow(errors.UnknownSession, 404, "Stripe has no Checkout session with this ID."),
    ErrorRow(errors.StoreUnavailable, 503, _store_unavailable),
    ErrorRow(
        errors.ListsNotReady,
        503,
        "The index of readers is being built, which takes a minute for a million readers. Try again soon.",
        "lists-not-ready",
        "The lists are not ready",
    ),
    ErrorRow(
        errors.NewerSchema,
        503,
        "The store holds records of a newer version of this service; finish the upgrade and try again.",
        "newer-schema",
        "The store is newer than this service",
    ),
    ErrorRow(errors.StripeUnavailable, 503, _stripe_unavailable, "stripe-unavailable", "Stripe is unavailable"),
    ErrorRow(errors.StripeRefused, 503, _stripe_refused, *_STRIPE_REFUSED),
    ErrorRow(errors.NoSuchObject, 503, _stripe_refused, *_STRIPE_REFUSED),
)

_ROWS = {row.error: row for row in ERRORS}


def problem_of(error: DomainError | Problem) -> Problem:
    """Return an exception of the domain as it is shown; a `Problem` is that already."""
    if isinstance(error, Problem):
        return error
    row = next(_ROWS[kind] for kind in type(error).__mro__ if kind in _ROWS)
    headers = (
        {"Retry-After": f"{max(1, round(error.retry_after))}"} if isinstance(error, errors.StripeUnavailable) else {}
    )
    return Problem(
        row.status,
        row.message if isinstance(row.message, str) else row.message(error),
        errors=[(field or "body", message) for field, message in error.errors],
        kind=row.kind,
        title=row.title,
        headers=headers,
        rows=error.rows if isinstance(error, errors.WrongRows) else (),
    )

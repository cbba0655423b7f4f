"""The rules of `[grants]`: what an admin can grant, checked before anything is written."""

from __future__ import annotations

from service.domain.catalogue import DAY, HOUR, Catalogue

Mistakes = list[tuple[str, str]]
"""Pairs of a field's name and what is wrong with it, for the person who asked."""


def find_mistakes(
    catalogue: Catalogue, *, plan: str | None, features: tuple[str, ...], start: int, until: int | None, now: float
) -> Mistakes:
    """Return every mistake in a grant; an empty list if it is allowed. Times are epoch seconds."""
    return find_plan_mistakes(catalogue, plan, features) + find_end_mistakes(
        catalogue, start=start, until=until, now=now
    )


def find_plan_mistakes(catalogue: Catalogue, plan: str | None, features: tuple[str, ...]) -> Mistakes:
    """Return the mistakes in what is granted: exactly one of `plan` and `features`, and only what `[grants]` allows."""
    if (plan is None) == (not features):
        message = "give exactly one of plan and features"
        return [("plan", message), ("features", message)]
    mistakes: Mistakes = []
    policy = catalogue.grants
    if plan is not None and plan not in catalogue.plans:
        mistakes.append(("plan", f"there is no plan {plan!r}; there are {', '.join(catalogue.plans)}"))
    elif plan is not None and policy.plans is not None and plan not in policy.plans:
        mistakes.append(("plan", f"the configuration lets admins grant only {', '.join(policy.plans)}"))
    if features and policy.plans is not None:
        mistakes.append(("features", f"the configuration lets admins grant only {', '.join(policy.plans)}"))
    for place, name in enumerate(features):
        if name not in catalogue.features:
            known = ", ".join(catalogue.features)
            mistakes.append((f"features.{place}", f"there is no feature {name!r}; there are {known}"))
    return mistakes


def find_end_mistakes(catalogue: Catalogue, *, start: int, until: int | None, now: float) -> Mistakes:
    """Return the mistakes in the end of a grant."""
    longest = catalogue.grants.longest
    if until is None:
        if longest is None:
            return []
        return [("until", f"the configuration allows no grant without an end, at most {_length(longest)}")]
    if until <= now:
        return [("until", "lies in the past; to end a grant now, revoke it")]
    if until <= start:
        return [("until", "must be later than from")]
    if longest is not None and until - max(start, now) > longest:
        return [("until", f"the configuration allows at most {_length(longest)}")]
    return []


_UNITS = ((DAY, "days"), (HOUR, "hours"), (60, "minutes"), (1, "seconds"))


def _length(seconds: int) -> str:
    return next(f"{seconds // unit} {name}" for unit, name in _UNITS if seconds % unit == 0)


def needs_second_admin(catalogue: Catalogue, *, start: int, until: int | None, now: float, readers: int = 1) -> bool:
    """Return whether a second admin has to confirm: `confirm_above` limits the readers and the length; no end is longest."""
    policy = catalogue.grants
    if policy.confirm_readers is not None and readers > policy.confirm_readers:
        return True
    if policy.confirm_length is None:
        return False
    return until is None or until - max(start, now) > policy.confirm_length

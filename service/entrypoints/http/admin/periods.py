"""The period that the overview shows: a preset, or the days that an address names."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo

from service.adapters.redis.reporting.usage_counts import DAYS_KEPT
from service.domain.errors import InvalidFields
from service.entrypoints.http.admin.request_inputs import query_field
from service.use_cases.reporting.statistics import DEFAULT_DAYS, Period


def preset_periods(today: date) -> dict[str, Period]:
    """Return the presets by label."""
    month = today.replace(day=1)
    last_month = (month - timedelta(days=1)).replace(day=1)
    return {
        **{f"{days} days": Period(today - timedelta(days=days - 1), today) for days in (7, DEFAULT_DAYS, 90)},
        "This month": Period(month, today),
        "Last month": Period(last_month, month - timedelta(days=1)),
    }


def requested_period(now: float, zone: tzinfo) -> tuple[Period, dict[str, Period]]:
    """Return the period that the address asks for, and the presets. Raises: `InvalidFields`."""
    today = datetime.fromtimestamp(now, zone).date()
    presets, oldest = preset_periods(today), today - timedelta(days=DAYS_KEPT - 1)
    usual = presets[f"{DEFAULT_DAYS} days"]
    last = min(_day("to", usual.last, oldest), today)
    first = _day("from", last - (usual.last - usual.first), oldest)
    if first > last:
        raise InvalidFields([("from", "must be a day that has come, and not later than the last day")])
    return Period(first, last), presets


def _day(name: str, missing: date, oldest: date) -> date:
    text = query_field(name)
    try:
        found = date.fromisoformat(text) if text else missing
    except ValueError:
        raise InvalidFields([(name, "must be a date, like 2026-11-20")]) from None
    if found < oldest:
        raise InvalidFields([(name, f"must be {oldest.isoformat()} or later: figures are kept for {DAYS_KEPT} days")])
    return found

"""Read which grants to change, and how: for the API, the command and the staff page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.bootstrap import Service
from service.domain.errors import InvalidFields
from service.entrypoints.responses.lists import grant_filter
from service.use_cases.grants.imports.grant_change_kind import GrantChangeEntry, WantedChange, check_change, sheet_of
from service.use_cases.imports.csv_file import ImportSheet


def read_change(data: Mapping[str, Any]) -> WantedChange:
    """Return the change that a request wants. Raises: InvalidFields unless it names exactly one."""
    revoke = bool(data.get("revoke"))
    if revoke == ("until" in data):
        raise InvalidFields([("until", "give either until or revoke"), ("revoke", "give either until or revoke")])
    until = data.get("until")
    return WantedChange(None if until is None else int(until), revoke)


def choose_grants(
    service: Service, change: WantedChange, filters: Mapping[str, Any], ids: Sequence[str] | None, now: float
) -> ImportSheet[GrantChangeEntry]:
    """Return the sheet of the grants that are chosen by ID or by the filters of the list. Raises: InvalidFields."""
    check_change(service.settings.catalogue, change, now)
    if not filters and ids is None:
        raise InvalidFields([("grants", "name grants, or choose them by a filter of the list, such as ?plan=vip")])
    found = service.reader_lists.select_grants(grant_filter(filters), ids)
    readers: dict[str, str | None] = dict(found)
    return sheet_of([(name, readers.get(name)) for name in dict.fromkeys(ids or readers)])

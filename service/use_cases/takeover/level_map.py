"""Map the levels of another system to plans: read `takeover.toml`, and propose one.

free = ["Registered"]                 levels that give no access there
[levels]
"Gold supporter" = "supporter"        a level without a line gives nothing here
[ends]                                where the export does not hold the end: a date, a time, or "never"
complimentary = "never"               the default
gift = "2027-06-30"                   without it members by gift lose access
recurring = "2027-01-31"              the same for those who pay by another gateway, where no end is known
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from service.domain.catalogue import Catalogue
from service.domain.errors import InvalidFields
from service.domain.typed_times import TypedSpan, parse_typed_time
from service.use_cases.takeover.formats.export_format import EndRule

FILE = "takeover.toml"
END_RULES: tuple[EndRule, ...] = ("complimentary", "gift", "recurring")
USUAL_FREE = frozenset({"free", "registered", "free registration"})


@dataclass(frozen=True, slots=True)
class LevelMap:
    """What `takeover.toml` says. `ends` are in epoch seconds, `None` for no end; a rule that is not in it has no end known."""

    free: frozenset[str] = frozenset()
    plans: Mapping[str, str] = field(default_factory=dict)
    ends: Mapping[EndRule, int | None] = field(default_factory=lambda: {"complimentary": None})

    @property
    def known_levels(self) -> frozenset[str]:
        return self.free | set(self.plans)


@dataclass(slots=True)
class LevelCount:
    """How many rows have a level, and how many of them with access."""

    rows: int = 0
    access: int = 0


def read_level_map(body: bytes, catalogue: Catalogue) -> LevelMap:
    """Return what a file says. Raises: InvalidFields, with every mistake."""
    try:
        found = tomllib.loads(body.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidFields([(FILE, f"is not readable as TOML in UTF-8: {error}")]) from None
    wrong = [
        (name, "is unknown: there are free, [levels] and [ends]") for name in found.keys() - {"free", "levels", "ends"}
    ]
    free, levels, ends = found.get("free", []), found.get("levels", {}), found.get("ends", {})
    if not isinstance(free, list) or not all(isinstance(name, str | int) for name in free):
        wrong.append(("free", 'must be a list of levels, like ["Registered"]'))
        free = []
    names = frozenset(str(name) for name in free)
    plans = _read_plans(levels, catalogue, names, wrong)
    moments = _read_ends(ends, catalogue, wrong)
    if wrong:
        raise InvalidFields(sorted(wrong))
    return LevelMap(names, plans, moments)


def _read_plans(
    levels: Any, catalogue: Catalogue, free: frozenset[str], wrong: list[tuple[str, str]]
) -> dict[str, str]:
    if not isinstance(levels, dict):
        wrong.append(("levels", "must be a table: [levels]"))
        return {}
    for name, plan in levels.items():
        if not isinstance(plan, str) or plan not in catalogue.plans:
            wrong.append((f"levels.{name}", f"must be a plan of paywall.toml ({', '.join(catalogue.plans)})"))
        elif name in free:
            wrong.append((f"levels.{name}", "is also in free: a level has one or the other"))
    return levels


def _read_ends(ends: Any, catalogue: Catalogue, wrong: list[tuple[str, str]]) -> dict[EndRule, int | None]:
    found: dict[EndRule, int | None] = {"complimentary": None}
    if not isinstance(ends, dict):
        wrong.append(("ends", "must be a table: [ends]"))
        return found
    wrong += [
        (f"ends.{name}", f"is unknown: there are {', '.join(END_RULES)}") for name in ends.keys() - set(END_RULES)
    ]
    for rule in END_RULES:
        if rule in ends:
            try:
                found[rule] = _read_end(ends[rule], catalogue)
            except ValueError:
                wrong.append((f"ends.{rule}", 'must be a date ("2027-06-30"), a time with its offset, or "never"'))
    return found


def _read_end(value: object, catalogue: Catalogue) -> int | None:
    """Return an end, `None` for never. Raises: ValueError, also for a span: each run would move the end."""
    text = value.isoformat() if isinstance(value, date | datetime) else value
    if text == "never":
        return None
    moment = parse_typed_time(text, is_end=True) if isinstance(text, str) else None
    if moment is None or isinstance(moment, TypedSpan):
        raise ValueError
    return int(moment if isinstance(moment, float) else moment.at(0, catalogue.zone))


def propose(levels: Mapping[str, LevelCount], form: str, catalogue: Catalogue) -> str:
    """Return a `takeover.toml` to start from, with every level that was found, by how many have it."""
    by_name = {word.casefold(): plan.id for plan in catalogue.plans.values() for word in (plan.id, plan.name)}
    ordered = sorted(levels.items(), key=lambda pair: (-pair[1].rows, pair[0]))
    free = [name for name, _ in ordered if name.casefold() in USUAL_FREE]
    lines = [
        f"# Proposed by `paywall takeover {form}`. Save it as {FILE}, and name a plan for each level.",
        f"# Plans of paywall.toml: {', '.join(catalogue.plans)}",
        *(["# A tier with a comma in its name is listed in parts: write its whole name."] if form == "ghost" else []),
        f"free = [{', '.join(_quoted(name) for name in free)}]  # levels that give no access there",
        "",
        "[levels]",
    ]
    for name, count in ordered:
        if name not in free:
            plan = by_name.get(name.casefold(), "")
            counted = f"{count.rows} {'row' if count.rows == 1 else 'rows'}, {count.access} with access"
            lines.append(f"{_quoted(name)} = {_quoted(plan)}  # {counted}")
    lines += ["", "[ends]  # where the export does not hold the end", 'complimentary = "never"']
    lines += ['# gift = "2027-06-30"', '# recurring = "2027-01-31"']
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")

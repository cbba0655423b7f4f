"""The sample exports of this folder, one for each format with every kind of member, and the policy they are read with."""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import cache
from pathlib import Path

from service.domain.catalogue import Catalogue
from service.domain.times import read_time
from service.use_cases.takeover.export_file import ExportRow, read_export
from service.use_cases.takeover.formats import FORMATS
from service.use_cases.takeover.formats.export_format import ReadingContext
from service.use_cases.takeover.level_map import LevelMap, read_level_map
from tests.policies import parse_catalogue

EXPORTS = Path(__file__).parent / "exports"
NOW = read_time("2026-11-29T12:00:00Z")

POLICY = """
[site]
name = "The Daily Ledger"
timezone = "America/New_York"
origins = ["https://www.example.news"]
[features]
notebook = "The notebook"
[plans.supporter]
name = "Supporter"
features = ["notebook"]
prices = ["price_month"]
products = ["prod_supporter"]
[plans.newsroom]
name = "Group"
features = ["notebook"]
prices = ["price_seat_month"]
seats = true
[plans.vip]
name = "VIP"
features = ["notebook"]
[tiers.metered]
requires = ["notebook"]
[defaults]
tier = "metered"
[offers.notebook]
heading = "Unlock"
benefits = ["notebook"]
button = "Support us"
plans = ["supporter"]
"""

LEVELS = """
free = ["Registered", "0", "Free"]
[levels]
"Gold supporter" = "supporter"
"Gold; 2|3: supporter" = "supporter"
"1" = "supporter"
"Group member" = "vip"
"Friends" = "vip"
"Friends, patrons" = "vip"
"Newsroom" = "newsroom"
[ends]
gift = "2027-06-30"
"""


@cache
def catalogue() -> Catalogue:
    return parse_catalogue(POLICY)


@cache
def level_map(text: str = LEVELS) -> LevelMap:
    return read_level_map(text.encode(), catalogue())


def as_of_today(text: str) -> str:
    """Return a text whose dates are as many days later as the samples are older than today, where the publisher is."""
    zone = catalogue().zone
    age = datetime.now(zone).date() - datetime.fromtimestamp(NOW, zone).date()
    return re.sub(r"20\d\d-\d\d-\d\d", lambda found: str(date.fromisoformat(found[0]) + age), text)


def sample_of_today(form: str) -> str:
    """Return a sample export as if it had been written today, for tests that run commands."""
    return as_of_today((EXPORTS / f"{form}.csv").read_bytes().decode())


def read_sample(
    name: str,
    body: bytes | None = None,
    levels: LevelMap | None = None,
    column: str | None = None,
    now: float = NOW,
) -> list[ExportRow]:
    """Return the rows of a sample export, or of `body` in its format: the first word of the name."""
    form = FORMATS[name.partition("_")[0]]
    known = (levels or level_map()).known_levels
    context = ReadingContext(now, catalogue().zone, column or form.reader_column, known)
    return read_export((EXPORTS / f"{name}.csv").read_bytes() if body is None else body, 0, form, context)

"""How things are written on the page: moments, ids, amounts, and what every page knows.

Everything that somebody else chose (ids, names, reasons) is text: escaped, set apart so that it cannot turn the direction
of what stands beside it, with characters that nobody sees written out.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, cast

from flask import Flask, g, url_for
from markupsafe import Markup, escape

from service.domain.errors import StoreUnavailable
from service.domain.times import LAST_SECOND
from service.entrypoints.http.admin import frame as frames
from service.entrypoints.http.admin.frame import Frame
from service.entrypoints.responses import labels as wording

_BEGIN, _END = Markup("<bdi>"), Markup("</bdi>")
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")

NAV = (
    ("overview", "Overview"),
    ("readers", "Readers"),
    ("imports_form", "Import"),
    ("approvals", "Approvals"),
    ("passes", "Story passes"),
    ("events", "Stripe events"),
    ("audit", "Audit"),
    ("keys", "Keys"),
)


def register(page: Flask, around: Frame) -> None:
    """Adds filters and what every template knows."""
    catalogue = around.service.desk.catalogue
    page.jinja_env.trim_blocks = page.jinja_env.lstrip_blocks = True
    page.template_filter("moment")(moment)
    page.template_filter("text")(text)
    page.template_filter("figure")(figure)
    page.template_filter("value")(value)
    for name, words in wording.TABLES.items():
        page.template_filter(name)(lambda code, words=words: words.get(code, str(code).replace("_", " ")))

    @page.template_filter("plan")
    def plan(name: str | None) -> str:
        known = catalogue.plans.get(name or "")
        return known.name if known else name or "no plan"

    @page.template_filter("feature")
    def feature(name: str) -> str:
        return catalogue.features.get(name, name)

    def allowed(name: str) -> bool:
        return frames.may(cast(Any, page.view_functions[name]).needs)

    @page.context_processor
    def around_every_page() -> dict[str, Any]:
        who = frames.principal()
        session = g.get("session")
        token = ""
        heard = None
        # A page that says that the store is away has to do without: what seals may lie in the store.
        with suppress(StoreUnavailable):
            token = around.sessions.token(g.get("begin") or session) if session is not None else ""
            heard = g.heard = frames.hear(around) if session is not None else None
        return {
            "who": who,
            "may": frames.may,
            "token": token,
            "once": frames.fresh_mark(),
            "nav": [(name, label, url_for(name)) for name, label in NAV if allowed(name)] if who is not None else [],
            "site": catalogue.site_name,
            "zone": str(catalogue.zone),
            "said": heard,
        }


def moment(at: float | str | None, missing: str = "no end") -> Markup:
    """A moment, in UTC; the page's script writes it in the browser's own zone."""
    if at is None:
        return Markup('<span class="quiet">{}</span>').format(missing)
    return _moment(at if isinstance(at, str) else int(at))


@lru_cache(maxsize=4_096)
def _moment(at: int | str) -> Markup:
    when = datetime.fromisoformat(at) if isinstance(at, str) else datetime.fromtimestamp(min(at, LAST_SECOND), UTC)
    plain = f"{when.day} {when:%b} {when.year}, {when:%H:%M} UTC"
    return Markup('<time datetime="{}">{}</time>').format(f"{when:%Y-%m-%dT%H:%M:%S}Z", plain)


def text(given: object) -> Markup:
    """What somebody else wrote, set apart; what cannot be seen in it is written out."""
    seen = UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", str(given))
    return _BEGIN + escape(seen) + _END


def figure(number: float | None) -> str:
    """A count with thin spaces between thousands."""
    if number is None:
        return "–"
    whole = int(number) if float(number).is_integer() else number
    return f"{whole:,}".replace(",", "\u202f")


def value(given: Any, name: str = "") -> Markup:
    """A value of an explanation or of an audit record, under the name that it has there."""
    if given is None or given == []:
        return Markup('<span class="quiet">{}</span>').format("no end" if name == "until" else "none")
    if name in _WORDS:
        return text(_WORDS[name].get(str(given), str(given)))
    if isinstance(given, bool):
        return escape("yes" if given else "no")
    if isinstance(given, str) and _TIME.fullmatch(given):
        return moment(given)
    if isinstance(given, list) and all(isinstance(part, str) for part in given):
        return Markup(", ").join(text(part) for part in given)
    if isinstance(given, list) and all(isinstance(part, dict) and set(part) == {"feature", "until"} for part in given):
        return Markup(", ").join(
            Markup("{} ({}{})").format(text(held["feature"]), "until " if held["until"] else "", moment(held["until"]))
            for held in given
        )
    if isinstance(given, dict | list):
        return text(json.dumps(given, ensure_ascii=False))
    return text(given)


_WORDS = {"kind": wording.WISHES, "state": wording.STATES}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")

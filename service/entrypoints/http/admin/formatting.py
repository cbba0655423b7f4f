"""How pages show values, what every template knows, and the static files.

IDs, names and reasons come from others. Each is escaped and isolated (`<bdi>`), so that it cannot change the direction of
the text beside it; invisible characters are written out.
"""

from __future__ import annotations

import json
import re
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, cast
from urllib.parse import quote

from flask import Response, abort, g, url_for
from markupsafe import Markup, escape

from service.domain.catalogue import Catalogue
from service.domain.errors import StoreUnavailable
from service.domain.times import LAST_SECOND
from service.entrypoints.http.admin.page_context import PageContext, current_principal, has_role, read_flash_message
from service.entrypoints.http.admin.request_inputs import filters_in_address
from service.entrypoints.responses import labels

STATIC = Path(__file__).parent / "static"
CONTENT_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_NOT_PLAIN = re.compile("[^\t\n\x20-\x7e]")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode's categories of control, format and surrogate characters, and of separators of lines and paragraphs."""
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
"""Characters of other categories that show nothing: Unicode's Default_Ignorable_Code_Point, and the empty Braille pattern."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_LABELED_VALUES = {"kind": labels.REQUESTS, "state": labels.STATES}

STRIPE_PAGES = {"cus": "customers/", "sub": "subscriptions/", "cs": "search?query="}
"""Prefix of a Stripe ID → its page in the Dashboard, which has no page for a Checkout session."""

NAVIGATION = (
    ("overview", "Overview"),
    ("reader_table", "Readers"),
    ("grant_table", "Grants"),
    ("imports_form", "Imports"),
    ("approvals", "Approvals"),
    ("passes", "Gift links"),
    ("events", "Stripe events"),
    ("audit", "Audit log"),
    ("keys", "API keys"),
    ("system", "System"),
    ("comparisons", "Compare mode"),
)
"""View and label of each entry of the menu."""


def register(context: PageContext) -> None:
    """Add the template filters, the variables of every template, and `/static/…`."""
    _register_filters(context)
    _register_static_files(context)
    views: dict[str, Any] = context.app.view_functions

    @context.app.context_processor
    def page_variables() -> dict[str, Any]:
        user, session = current_principal(), g.get("session")
        token, message = "", None
        # The secrets may be in the store; the page that reports an outage does without them.
        with suppress(StoreUnavailable):
            if session is not None:
                token = context.sessions.form_token(g.get("started_session") or session)
                message = g.flash_shown = read_flash_message(context)
        menu = [(name, label, url_for(name)) for name, label in NAVIGATION if user and has_role(views[name].demands)]
        return {
            "user": user,
            "has_role": has_role,
            "token": token,
            "once": token_urlsafe(12),  # A form with this token takes effect once, however often it is sent.
            "navigation": menu,
            "site": context.catalogue.site_name,
            "zone": str(context.catalogue.zone),
            "is_test_mode": not context.catalogue.livemode,
            "flash": message,
        }


def _register_filters(context: PageContext) -> None:
    catalogue, app = context.catalogue, context.app
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters |= {"time": format_time, "text": format_text, "number": format_number, "value": format_value}
    for name, table in labels.TABLES.items():
        app.template_filter(name)(partial(labels.label, table))

    dashboard = stripe_dashboard(catalogue)

    @app.template_filter("stripe_url")
    def stripe_url(name: str) -> str | None:
        """Return the address of an object in Stripe's Dashboard; `None` for what has no page there, such as a grant."""
        page = STRIPE_PAGES.get(name.partition("_")[0])
        return dashboard + page + quote(name, safe="") if page is not None else None

    @app.template_filter("stripe_search_url")
    def stripe_search_url(words: str) -> str:
        return f"{dashboard}search?query={quote(words, safe='')}"

    app.template_global()(filters_in_address)
    app.template_filter("day")(lambda day: f"{day.day} {day:%b %Y}")
    app.template_filter("tone")(lambda state: labels.TONES.get(state, "quiet"))

    @app.template_filter("plan")
    def plan(name: str | None) -> str:
        known = catalogue.plans.get(name or "")
        return known.name if known else name or "no plan"

    @app.template_filter("source_name")
    def source_name(key: str) -> str:
        """Return the label of a source by its key, `type:id`; of a provider's subscription the provider's name."""
        kind, _, name = key.partition(":")
        provider = catalogue.providers.get(name.partition(":")[0]) if kind == "external" else None
        return provider.name if provider is not None else labels.SOURCES.get(kind, kind)

    @app.template_filter("feature")
    def feature(name: str) -> str:
        return catalogue.features.get(name, name)


def stripe_dashboard(catalogue: Catalogue) -> str:
    """Return the address of Stripe's Dashboard, in test mode or in live mode."""
    return "https://dashboard.stripe.com/" + ("" if catalogue.livemode else "test/")


def _register_static_files(context: PageContext) -> None:
    """Serve the files under names that change with their content, so that browsers can cache them for good."""
    files = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix[1:] in CONTENT_TYPES}
    digests = {name: sha256(content).hexdigest()[:12] for name, content in files.items()}

    @context.page("GET /static/<digest>/<name>", None)
    def static_file(digest: str, name: str) -> Response:
        if digests.get(name) != digest:
            abort(404)
        answer = Response(files[name], content_type=CONTENT_TYPES[name.rpartition(".")[2]])
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer

    cast(Any, static_file).stateless = True

    @context.app.template_global("asset")
    def asset_url(name: str) -> str:
        return f"/admin/static/{digests[name]}/{name}"


def format_time(at: float | str | None, missing: str = "no expiry") -> Markup:
    """Return a time in UTC; the page's script shows it in the browser's zone."""
    if at is None:
        return Markup('<span class="quiet">{}</span>').format(missing)
    return _format_time(at if isinstance(at, str) else int(at))


@lru_cache(maxsize=4_096)
def _format_time(at: int | str) -> Markup:
    when = _datetime(at)
    return Markup('<time datetime="{}">{} {:%b %Y, %H:%M} UTC</time>').format(
        f"{when:%Y-%m-%dT%H:%M:%S}Z", when.day, when
    )


def format_day(at: float | str) -> Markup:
    """Return the day of a moment in UTC; the page's script shows it in the browser's zone, with the time as its title."""
    when = _datetime(at)
    return Markup('<time datetime="{}" class="day">{} {:%b %Y}</time>').format(
        f"{when:%Y-%m-%dT%H:%M:%S}Z", when.day, when
    )


def _datetime(at: float | str) -> datetime:
    return datetime.fromisoformat(at) if isinstance(at, str) else datetime.fromtimestamp(min(at, LAST_SECOND), UTC)


def format_text(value: object) -> Markup:
    """Return text from outside, isolated, with its invisible characters written out."""
    visible = _NOT_PLAIN.sub(lambda found: _written_out(found[0]), str(value))
    return Markup("<bdi>") + escape(visible) + Markup("</bdi>")


def _written_out(character: str) -> str:
    is_invisible = unicodedata.category(character) in _INVISIBLE or _IGNORABLE.match(character)
    return f"⟨U+{ord(character):04X}⟩" if is_invisible else character


def format_number(number: float | None) -> str:
    """Return a count with narrow spaces between thousands."""
    if number is None:
        return "–"
    whole = int(number) if float(number).is_integer() else number
    return f"{whole:,}".replace(",", "\u202f")


def format_value(value: Any, name: str = "") -> Markup:
    """Return the value that an explanation or an audit record has under `name`."""
    if value is None or value == []:
        return Markup('<span class="quiet">{}</span>').format("no expiry" if name == "until" else "none")
    if name in _LABELED_VALUES:
        return format_text(labels.label(_LABELED_VALUES[name], value))
    if isinstance(value, bool):
        return escape("yes" if value else "no")
    if isinstance(value, str) and _TIME.fullmatch(value):
        return format_time(value)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return Markup(", ").join(format_text(part) for part in value)
    if isinstance(value, list) and all(isinstance(part, dict) and set(part) == {"feature", "until"} for part in value):
        return Markup(", ").join(
            Markup("{} ({}{})").format(
                format_text(part["feature"]), "until " if part["until"] else "", format_time(part["until"])
            )
            for part in value
        )
    if isinstance(value, dict | list):
        return format_text(json.dumps(value, ensure_ascii=False))
    return format_text(value)

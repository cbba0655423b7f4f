"""The newspaper's site: it checks access to each story, and sends only the parts that the decision opens."""

from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, abort, current_app, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from . import wording
from .account_pages import account_pages
from .client import Paywall
from .events import read_events
from .group_pages import group_pages
from .stories import read_stories
from .visit import (
    FREE_SECTION,
    READERS,
    Newspaper,
    check_access,
    current_offer,
    identity,
    is_read,
    is_verified,
    load_visitor,
    newspaper,
    reader,
    reader_name,
    save_visitor,
)

pages = Blueprint("pages", __name__)

PAYMENT_ORIGINS = "https://checkout.stripe.com https://billing.stripe.com http://127.0.0.1:* http://localhost:*"
"""Where forms may redirect: Stripe's pages, and a demo's look-alike on this machine."""


def wall_clock() -> datetime:
    return datetime.now(UTC)


def create_newspaper(
    *,
    service_url: str,
    site_key: str,
    secret: str,
    public_url: str,
    clock: Callable[[], datetime] = wall_clock,
    backstage: str | None = None,
) -> Flask:
    """Create the site as a Flask app.

    - `service_url`: the paywall's URL.
    - `site_key`: the secret of one of its site keys.
    - `secret`: signs the site's session cookie.
    - `public_url`: the URL that readers use, one of the service's `site.origins`. Checkout returns to it.
    - `clock`: returns the current time, which the demo can move.
    - `backstage`: the URL of the demo's backstage page, for the link in the footer.
    """
    now = clock()
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=secret,
        SESSION_COOKIE_NAME="ledger_session",
        SESSION_COOKIE_SAMESITE="Lax",  # so that no other site's form can act for a reader
        SESSION_COOKIE_SECURE=urlsplit(public_url).scheme == "https",
        SEND_FILE_MAX_AGE_DEFAULT=3600,
        MAX_CONTENT_LENGTH=64 * 1024,
    )
    app.extensions["newspaper"] = Newspaper(read_stories(now), Paywall(service_url, site_key), public_url.rstrip("/"))
    app.extensions["events"] = read_events(now)
    app.extensions["page_context"] = {"clock": clock, "backstage": backstage}
    app.register_blueprint(pages)
    app.register_blueprint(account_pages)
    app.register_blueprint(group_pages)
    app.before_request(load_visitor)
    app.after_request(save_visitor)
    app.after_request(_add_security_headers)
    app.register_error_handler(HTTPException, _error_page)
    app.context_processor(_page_context)
    wording.register(app)
    return app


@pages.get("/")
@pages.get("/section/<section>")
def front(section: str | None = None) -> str:
    """Show the front page or one section, with labels from one batch check of all its stories."""
    stories = [story for story in newspaper().stories.values() if section in (None, story.head.section)]
    if not stories:
        abort(404)
    heads = [story.head for story in stories]
    decisions = newspaper().paywall.check_batch([head.access_fields() for head in heads], identity())
    marks = {head.id: wording.access_label(decision) for head, decision in zip(heads, decisions, strict=False)}
    alerts = [head for head in heads if head.section == FREE_SECTION and not section]
    news = [head for head in heads if head not in alerts]
    return render_template("front.html", section=section, alerts=alerts, news=news, marks=marks)


@pages.get("/story/<story_id>")
def story(story_id: str) -> str:
    """Show a story: the open parts, and the upsell box in place of a locked part."""
    found = newspaper().stories.get(story_id) or abort(404)
    decision = check_access(found, count=is_read())
    parts = found.open_parts(decision["parts"])
    more = [other.head for other in newspaper().stories.values() if other is not found][:4]
    return render_template("story.html", head=found.head, parts=parts, decision=decision, more=more)


@pages.get("/events")
def events() -> str:
    """List the Newsmaker evenings. Only readers with the feature get the address and a seat."""
    invited = "newsmaker_events" in check_access(newspaper().lead)["features"]
    evenings = [evening.visible(invited) for evening in current_app.extensions["events"]]
    return render_template(
        "events.html", invited=invited, evenings=evenings, decision=None if invited else current_offer()
    )


@pages.get("/support")
def support() -> str:
    return render_template("support.html", decision=current_offer())


@pages.get("/spotlight")
def spotlight() -> str:
    heads = [
        story.head
        for story in newspaper().stories.values()
        if {"investigation", "contracts", "grid"} & {*story.head.tags}
    ]
    return render_template("spotlight.html", heads=heads)


def _add_security_headers(response: Response) -> Response:
    """Allow no external or inline content, and no caching of pages that depend on the reader."""
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; media-src 'self'; "
        f"form-action 'self' {PAYMENT_ORIGINS}; base-uri 'none'; frame-ancestors 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "strict-origin-when-cross-origin"
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "private, no-store"
    return response


def _error_page(error: HTTPException) -> BaseResponse:
    response = error.get_response()  # keeps the headers of the status, such as Allow
    response.set_data(render_template("error.html", code=error.code))
    return response


def _page_context() -> dict[str, object]:
    """Return what every page shows: sections, signed-in reader, date and, in a demo, the backstage link."""
    sections = list(dict.fromkeys(story.head.section for story in newspaper().stories.values()))
    context = current_app.extensions["page_context"]
    today, backstage = context["clock"](), context["backstage"]
    who = {"reader": reader(), "reader_name": reader_name(), "verified": is_verified(), "readers": READERS}
    return {"sections": sections, "today": today, "backstage": backstage, **who}

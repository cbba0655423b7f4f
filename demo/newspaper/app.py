"""The newspaper's site: it asks the paywall about each story, and sends only what the answer opens."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, abort, current_app, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from . import account_pages, wording
from .client import Paywall
from .events import read_events
from .stories import read_stories
from .visit import (
    FREE_FOR_ALL,
    READERS,
    Paper,
    ask,
    is_a_read,
    meet_visitor,
    offer,
    paper,
    reader,
    remember_visitor,
    who,
)

pages = Blueprint("pages", __name__)

PAY_AT = ("https://checkout.stripe.com", "https://billing.stripe.com", "http://127.0.0.1:*", "http://localhost:*")
"""Where our forms may lead: Stripe's pages, and the look-alike of a demo on this machine."""


def wall_clock() -> datetime:
    return datetime.now(UTC)


def create_newspaper(
    *,
    service_url: str,
    site_key: str,
    secret: str,
    public_url: str,
    pay_at: Sequence[str] = PAY_AT,
    clock: Callable[[], datetime] = wall_clock,
    backstage: str | None = None,
) -> Flask:
    """The site as a Flask app.

    service_url: where the paywall answers · site_key: the secret of one of its site keys · secret: signs our own session
    cookie · public_url: the address that readers type, one of the service's `site.origins` (checkout comes back to it) ·
    pay_at: origins that checkout and portal may lie on · clock: today's date, which a demo can move · backstage: the page
    on which it does, linked from the foot of each page.
    """
    now = clock()
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY=secret,
        SESSION_COOKIE_NAME="ledger_session",
        SESSION_COOKIE_SAMESITE="Lax",  # and so no other site's form can act for a reader
        SESSION_COOKIE_SECURE=urlsplit(public_url).scheme == "https",
        SEND_FILE_MAX_AGE_DEFAULT=3600,
        MAX_CONTENT_LENGTH=64 * 1024,
    )
    app.extensions["newspaper"] = Paper(read_stories(now), Paywall(service_url, site_key), public_url.rstrip("/"))
    app.extensions["events"] = read_events(now)
    app.extensions["around"] = {"clock": clock, "backstage": backstage}
    app.register_blueprint(pages)
    app.register_blueprint(account_pages.account_pages)
    app.before_request(meet_visitor)
    app.after_request(remember_visitor)
    app.after_request(lambda response: _guard(response, pay_at))
    app.register_error_handler(HTTPException, _sorry)
    app.context_processor(_around)
    wording.speak(app)
    return app


@pages.get("/")
@pages.get("/section/<section>")
def front(section: str | None = None) -> str:
    """The front page, or one section of it; one batch tells which stories are open to this visit."""
    stories = [story for story in paper().stories.values() if section in (None, story.head.section)]
    if not stories:
        abort(404)
    heads = [story.head for story in stories]
    answers = paper().paywall.batch([head.asked() for head in heads], who())
    marks = {head.id: wording.mark(answer) for head, answer in zip(heads, answers, strict=False)}
    alerts = [head for head in heads if head.section == FREE_FOR_ALL and not section]
    news = [head for head in heads if head not in alerts]
    return render_template("front.html", section=section, alerts=alerts, news=news, marks=marks)


@pages.get("/story/<story_id>")
def story(story_id: str) -> str:
    """One story: the parts the answer opens, and the box in the place of those it does not."""
    found = paper().stories.get(story_id) or abort(404)
    answer = ask(found, count=is_a_read())
    parts = found.opened(answer["parts"])
    more = [other.head for other in paper().stories.values() if other is not found][:4]
    return render_template("story.html", head=found.head, parts=parts, answer=answer, more=more)


@pages.get("/events")
def events() -> str:
    """Newsmaker evenings: anybody may know of them, who holds the feature gets the seat and the address."""
    invited = "newsmaker_events" in ask(paper().lead)["features"]
    evenings = [evening.shown(invited) for evening in current_app.extensions["events"]]
    return render_template("events.html", invited=invited, evenings=evenings, answer=None if invited else offer())


@pages.get("/support")
def support() -> str:
    return render_template("support.html", answer=offer())


@pages.get("/spotlight")
def spotlight() -> str:
    told = [
        story.head for story in paper().stories.values() if {"investigation", "contracts", "grid"} & {*story.head.tags}
    ]
    return render_template("spotlight.html", told=told)


def _guard(response: Response, pay_at: Sequence[str]) -> Response:
    """Nothing from elsewhere, nothing inline; pages that depend on the reader are kept by nobody."""
    forms = " ".join(("'self'", *pay_at))
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; media-src 'self'; "
        f"form-action {forms}; base-uri 'none'; frame-ancestors 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "strict-origin-when-cross-origin"
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "private, no-store"
    return response


def _sorry(error: HTTPException) -> BaseResponse:
    response = error.get_response()  # keeps what belongs to the status, such as Allow
    response.set_data(render_template("sorry.html", code=error.code))
    return response


def _around() -> dict[str, object]:
    """What every page shows: the sections, who is signed in, today's date; in a demo, the way backstage."""
    sections = list(dict.fromkeys(story.head.section for story in paper().stories.values()))
    around = current_app.extensions["around"]
    today, backstage = around["clock"](), around["backstage"]
    return {"sections": sections, "reader": reader(), "readers": READERS, "today": today, "backstage": backstage}

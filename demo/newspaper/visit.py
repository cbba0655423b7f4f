"""The reader and visitor behind a request, and the access checks for them."""

import re
import secrets
from dataclasses import dataclass
from typing import Any, cast

from flask import Response, current_app, g, request, session

from .client import Decision, Paywall
from .stories import Story

VISITOR_COOKIE = "ledger_visitor"
VISITOR_ID = re.compile(r"v-[A-Za-z0-9_-]{22}")
VISITOR_SECONDS = 400 * 24 * 3600  # the longest time for which browsers keep a cookie
FREE_SECTION = "public-safety"

READERS = {
    "r-1042": ("Maya", "reads on the ferry, both ways"),
    "r-2077": ("Tobias", "came for the rowing, stayed for the council"),
    "r-3310": ("Ngozi", "teaches at Wendside School"),
    "r-4581": ("Father Anselm", "does the crossword first"),
    "r-school": ("Wendside School", "pays for the seats of its teachers"),
}
"""ID → name and a line about them. A newspaper keeps these in its accounts; the paywall knows only the IDs.

Their addresses are verified. Whoever creates an account has it in their session, as the demo has no database.
"""


@dataclass(frozen=True, slots=True)
class Newspaper:
    """What the pages need. `create_newspaper` creates it once."""

    stories: dict[str, Story]
    paywall: Paywall
    public_url: str

    @property
    def lead(self) -> Story:
        """Return the newest story that isn't free. Pages that need only the features check access to it."""
        return next(story for story in self.stories.values() if story.head.section != FREE_SECTION)


def newspaper() -> Newspaper:
    return cast(Newspaper, current_app.extensions["newspaper"])


def reader() -> str | None:
    """Return the signed-in reader's ID."""
    found = session.get("reader")
    return found if found in READERS or "name" in session else None


def reader_name() -> str | None:
    """Return the signed-in reader's name."""
    found = reader()
    return READERS[found][0] if found in READERS else session.get("name") if found else None


def is_verified() -> bool:
    """Return whether the signed-in reader has confirmed their address."""
    return session.get("reader") in READERS or session.get("verified") is True


def create_account(name: str, *, verified: bool) -> None:
    """Sign in a new reader, who has confirmed their address or not."""
    session.clear()
    session.update(reader=f"r-{secrets.token_hex(4)}", name=name, verified=verified)


def check_access(story: Story, *, count: bool = False) -> Decision:
    """Return the paywall's decision for this request and story."""
    options: dict[str, Any] = {"count": count, "context": _context()}
    if re.fullmatch(r"[\x21-\x7e]{1,2000}", story_pass := request.args.get("pass", "")):
        options["pass"] = story_pass
    return newspaper().paywall.check(story.head.access_fields(), identity(), **options)


def current_offer() -> Decision:
    """Return the decision for an anonymous visitor without free stories, which has the offer."""
    return newspaper().paywall.check(newspaper().lead.head.access_fields(), {}, count=False)


def identity() -> dict[str, str | bool]:
    """Return who is asking, and whether the site has verified their address."""
    signed_in = reader()
    if not signed_in:
        return {"visitor": g.visitor}
    return {"visitor": g.visitor, "reader": signed_in, "verified": is_verified()}


def is_read() -> bool:
    """Return whether this request is a read. A prefetch or a HEAD must not use up a free story."""
    purpose = request.headers.get("Sec-Purpose", request.headers.get("Purpose", ""))
    return request.method == "GET" and "prefetch" not in purpose


def load_visitor() -> None:
    """Load the visitor ID from its cookie before each request, or create one if the cookie is missing or invalid."""
    cookie = request.cookies.get(VISITOR_COOKIE, "")
    g.has_visitor_cookie = bool(VISITOR_ID.fullmatch(cookie))
    g.visitor = cookie if g.has_visitor_cookie else f"v-{secrets.token_urlsafe(16)}"


def save_visitor(response: Response) -> Response:
    """Set the cookie of a new visitor ID after each page. Scripts can't read the cookie."""
    if not g.has_visitor_cookie and request.endpoint != "static":
        secure = newspaper().public_url.startswith("https:")
        response.set_cookie(
            VISITOR_COOKIE, g.visitor, max_age=VISITOR_SECONDS, httponly=True, samesite="Lax", secure=secure
        )
    return response


def _context() -> dict[str, str]:
    """Return what the service uses to detect bots, as printable ASCII."""
    seen = {
        "ip": request.remote_addr or "",
        "user_agent": request.headers.get("User-Agent", ""),
        "referrer": request.headers.get("Referer", ""),
    }
    plain = {name: re.sub(r"[^ -~]", "", value).strip()[:500] for name, value in seen.items()}
    return {name: value for name, value in plain.items() if value}

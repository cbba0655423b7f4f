"""Who is reading: the signed-in reader, the browser's visitor id, and the question the paywall is asked about them."""

import re
import secrets
from dataclasses import dataclass
from typing import Any, cast

from flask import Response, current_app, g, request, session

from .client import Answer, Paywall
from .stories import Story

VISITOR_COOKIE = "ledger_visitor"
VISITOR_ID = re.compile(r"v-[A-Za-z0-9_-]{22}")
VISITOR_SECONDS = 400 * 24 * 3600  # the longest that browsers keep a cookie
FREE_FOR_ALL = "public-safety"

READERS = {
    "r-1042": ("Maya", "reads on the ferry, both ways"),
    "r-2077": ("Tobias", "came for the rowing, stayed for the council"),
    "r-3310": ("Ngozi", "teaches at Wendside School"),
    "r-4581": ("Father Anselm", "does the crossword first"),
}
"""A newspaper has these in its own accounts: the paywall knows readers by id only."""


@dataclass(frozen=True, slots=True)
class Paper:
    """What the pages work with: made once by `create_newspaper`."""

    stories: dict[str, Story]
    paywall: Paywall
    public_url: str

    @property
    def lead(self) -> Story:
        """The newest story that is not free for all: also the one we ask about when only the features matter."""
        return next(story for story in self.stories.values() if story.head.section != FREE_FOR_ALL)


def paper() -> Paper:
    return cast(Paper, current_app.extensions["newspaper"])


def reader() -> str | None:
    """The signed-in reader's id."""
    return session.get("reader") if session.get("reader") in READERS else None


def ask(story: Story, *, count: bool = False) -> Answer:
    """What the paywall says to this visit about this story."""
    more: dict[str, Any] = {"count": count, "context": _context()}
    if re.fullmatch(r"[\x21-\x7e]{1,2000}", story_pass := request.args.get("pass", "")):
        more["pass"] = story_pass
    return paper().paywall.access(story.head.asked(), who(), **more)


def offer() -> Answer:
    """What is on offer, whoever asks: the answer to somebody who holds nothing and has no free stories."""
    return paper().paywall.access(paper().lead.head.asked(), {}, count=False)


def who() -> dict[str, str]:
    signed_in = reader()
    return {"visitor": g.visitor, "reader": signed_in} if signed_in else {"visitor": g.visitor}


def is_a_read() -> bool:
    """A look ahead by the browser or a HEAD is no read, and must not use up a free story."""
    purpose = request.headers.get("Sec-Purpose", request.headers.get("Purpose", ""))
    return request.method == "GET" and "prefetch" not in purpose


def meet_visitor() -> None:
    """Before each request: the browser's own id, or a new one where it has none that we gave."""
    cookie = request.cookies.get(VISITOR_COOKIE, "")
    g.known = bool(VISITOR_ID.fullmatch(cookie))
    g.visitor = cookie if g.known else f"v-{secrets.token_urlsafe(16)}"


def remember_visitor(response: Response) -> Response:
    """After each page: a new id goes into its cookie, which no script can read."""
    if not g.known and request.endpoint != "static":
        secure = paper().public_url.startswith("https:")
        response.set_cookie(
            VISITOR_COOKIE, g.visitor, max_age=VISITOR_SECONDS, httponly=True, samesite="Lax", secure=secure
        )
    return response


def _context() -> dict[str, str]:
    """What the service may use to tell a person from a bot; plain text only, whatever the browser sent."""
    seen = {
        "ip": request.remote_addr or "",
        "user_agent": request.headers.get("User-Agent", ""),
        "referrer": request.headers.get("Referer", ""),
    }
    plain = {name: re.sub(r"[^ -~]", "", value).strip()[:500] for name, value in seen.items()}
    return {name: value for name, value in plain.items() if value}

"""Forms that could not be taken at all: what was typed is shown again, and the way back to the page that they stand on."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.exceptions import HTTPException

TYPED = {
    "reason": "Reason",
    "until": "Day and time",
    "object": "Customer or subscription",
    "from": "The other reader",
    "reader": "Reader",
    "story": "Story",
    "openings": "People",
    "name": "Name",
}
"""The fields that people fill in by hand, without any that holds a key."""

MOST = 64 * 1024


def foreign() -> bool:
    """Whether another site sent this form."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and urlsplit(origin).netloc != request.host


def typed() -> list[tuple[str, str]]:
    """What stood in the form, with what each field is called; nothing of another site's, which may say what it likes."""
    # Files are not read for whoever is not signed in, nor again what was too large.
    small = request.content_length is not None and request.content_length <= MOST
    if request.method != "POST" or foreign() or not small or request.mimetype != "application/x-www-form-urlencoded":
        return []
    return [(words, request.form[name]) for name, words in TYPED.items() if request.form.get(name, "").strip()]


def stood_on(page: Flask) -> str | None:
    """The path within the page on which the form stood, as far as the browser says so."""
    if request.method != "POST" or foreign():
        return None
    came = urlsplit(request.headers.get("Referer", ""))
    path = came.path.removeprefix("/admin")
    if came.netloc != request.host or path == came.path or path in ("", "/"):
        return None
    try:
        page.url_map.bind("").match(path, method="GET")
    except HTTPException:
        return None
    return f"{path}?{came.query}" if came.query else path

"""Browse any site without scripts: follow links and redirects, keep cookies, fill in forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests


class _Forms(HTMLParser):
    """Collect the forms of a page: attributes, fields with values, and named buttons."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[dict[str, str], dict[str, str]]] = []
        self.buttons: list[dict[str, str]] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.append(has.get("href", ""))
        elif tag == "form":
            self.forms.append((has, {}))
            self.buttons.append({})
        elif tag in ("input", "select", "button") and self.forms and has.get("name"):
            sent = tag != "button" and has.get("type") not in ("submit", "checkbox")
            (self.forms[-1][1] if sent else self.buttons[-1])[has["name"]] = has.get("value", "")


@dataclass
class BrowserSession:
    """A browser session. `been` lists every URL it visited, in order."""

    at: requests.Response | None = None
    been: list[str] = field(default_factory=list)
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.trust_env = False

    @property
    def here(self) -> requests.Response:
        assert self.at is not None
        return self.at

    def go(self, address: str, **form: str) -> BrowserSession:
        """Open a URL, or send a form there, and follow redirects."""
        target = urljoin(self.at.url, address) if self.at is not None else address
        self.at = self.session.request("POST" if form else "GET", target, data=form or None, timeout=60)
        self.been += [answer.url for answer in (*self.at.history, self.at)]
        return self

    def follow(self, part: str) -> BrowserSession:
        """Follow the first link whose URL contains `part`."""
        return self.go(next(link for link in self._page().links if part in link))

    def send(self, having: str, **values: str) -> BrowserSession:
        """Send the form that has this field, button or action, with these values."""
        page = self._page()
        about, fields = next(
            form
            for form, buttons in zip(page.forms, page.buttons, strict=True)
            if having in form[1] or having in buttons or form[0].get("action", "").endswith(having)
        )
        return self.go(about.get("action") or self.here.url, **{**fields, **values})

    def forms(self) -> list[tuple[dict[str, str], dict[str, str]]]:
        """Return every form of the page: its attributes, and its fields with their values."""
        return self._page().forms

    def _page(self) -> _Forms:
        found = _Forms()
        found.feed(self.here.text)
        return found

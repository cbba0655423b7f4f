"""A user of the pages who has only a keyboard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = Path(__file__).parents[3] / "vendor" / "axe.min.js"
MOST_TABS = 160


@dataclass
class KeyboardUser:
    """Tab to an element, type, press; each step waits for the element."""

    page: Page
    url: str

    def open(self, path: str) -> KeyboardUser:
        """Open an address directly."""
        self.page.goto(self.url + path)
        return self

    def to(self, selector: str) -> KeyboardUser:
        """Press Tab until the element has the focus; fail if no Tab leads there."""
        self.page.wait_for_selector(selector, state="attached")
        for _ in range(MOST_TABS):
            found: bool = self.page.evaluate(
                "s => [...document.querySelectorAll(s)].includes(document.activeElement)", selector
            )
            if found:
                return self
            self.page.keyboard.press("Tab")
        raise AssertionError(f"no Tab leads to {selector} on {self.page.url}")

    def type(self, selector: str, text: str) -> KeyboardUser:
        self.to(selector)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)
        return self

    def choose(self, selector: str, label: str) -> KeyboardUser:
        """Choose an option by typing its beginning."""
        self.to(selector)
        self.page.keyboard.type(label)
        chosen: str = self.page.evaluate("s => document.querySelector(s).selectedOptions[0].label", selector)
        assert chosen.startswith(label), (selector, chosen)
        return self

    def press(self, selector: str) -> KeyboardUser:
        """Press a button, a link or a disclosure."""
        self.to(selector)
        self.page.keyboard.press("Enter")
        return self

    def tick(self, selector: str) -> KeyboardUser:
        self.to(selector)
        self.page.keyboard.press("Space")
        return self

    def fold(self, words: str) -> KeyboardUser:
        """Open a disclosure (`details`) by the text of its summary."""
        self.page.wait_for_selector(f"summary:has-text('{words}')")
        mark = self.page.evaluate(
            """w => { const s = [...document.querySelectorAll("summary")].find(s => s.innerText.includes(w));
                      s.dataset.walked = w; return true }""",
            words,
        )
        assert mark
        return self.press(f'summary[data-walked="{words}"]')

    def send(self, selector: str, words: str) -> KeyboardUser:
        """Press a button, and wait for a text."""
        return self.press(selector).sees(words)

    def sees(self, words: str) -> KeyboardUser:
        self.page.get_by_text(words).first.wait_for()
        return self

    def find(self, what: str) -> KeyboardUser:
        """Use the search from anywhere."""
        self.page.evaluate("document.activeElement.blur()")
        self.page.keyboard.press("/")
        self.page.keyboard.type(what)
        self.page.keyboard.press("Enter")
        return self

    def sign_in(self, key: str) -> KeyboardUser:
        self.open("/admin").type("#key", key)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url("**/admin/")
        return self


def accessibility_errors(page: Page, *rules: str) -> list[Any]:
    """Return what axe reports as serious or critical, by these rules or by all."""
    if not page.evaluate("typeof window.axe === 'object'"):
        page.evaluate(AXE.read_text("utf-8"))
    found: list[Any] = page.evaluate(
        """async rules => (await axe.run(document, { resultTypes: ["violations"], ...rules })).violations
             .filter(v => v.impact === "serious" || v.impact === "critical")
             .map(v => [v.id, v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + " | " + n.failureSummary)])""",
        {"runOnly": list(rules)} if rules else {},
    )
    return found

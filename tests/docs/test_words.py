"""Test the words of the docs: short sentences, commands and routes that exist, and no words that were replaced."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from service.entrypoints.cli import main
from tests.docs import reference_pages
from tests.docs.test_links import DOCS, ROOT, names

PAGES = [ROOT / "README.md", *sorted(page for page in DOCS.rglob("*.md") if "decisions" not in page.parts)]
LONGEST = 30
"""Words of a sentence."""
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
REPLACED = re.compile(
    r"story pass|who may\b|needs a hand|nobody's|whose they are|by and by|told of|gives anew|hand on `|handed on"
    r"|look again|rolled forward|mended|is no case|lets go of|asking it",
    re.IGNORECASE,
)
"""Words of `language.md` and of the table of sentences that other words replaced."""


def sentences(page: Path) -> Iterator[str]:
    """Yield the sentences of a page: of paragraphs, list items and table cells, without code and targets of links."""
    text = FENCE.sub("\n\n", page.read_text("utf-8"))
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"`[^`]*`", "Code", text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.)\s)|\n(?=[|#])|(?<=\|)\n|\|", text):
        yield from re.split(r"(?<=[.!?:])\s+(?=[A-Z\"“*])", " ".join(block.split()))


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_no_sentence_of_a_page_is_too_long(page: Path) -> None:
    long = [sentence for sentence in sentences(page) if len(re.findall(r"\w[\w'’-]*", sentence)) > LONGEST]
    assert long == []


def test_replaced_words_are_in_no_page() -> None:
    found = {}
    for page in PAGES:
        if words := REPLACED.findall(page.read_text("utf-8")):
            found[str(page.relative_to(ROOT))] = words
    assert found == {}


@pytest.mark.parametrize("page", PAGES[1:], ids=names(PAGES[1:]))
def test_page_says_first_whom_it_is_for(page: Path) -> None:
    beginning = page.read_text("utf-8").split("\n\n")[1]
    assert re.search(r"^(?:This (?:page|guide) (?:is|begins)|In this tutorial|Find your page)", beginning)


# ------------------------------------------------------------------------------------------------- commands and routes


def commands_in(page: Path) -> Iterator[str]:
    """Yield the `paywall …` commands of a page: each line of code, and each piece of code in a sentence."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    for _, block in FENCE.findall(text):
        for line in block.splitlines():
            if found := re.search(r"(?:^|/)paywall( [a-z].*)", line.strip()):
                yield found[1].partition(" #")[0]
    yield from (
        found.partition(" #")[0]
        for found in re.findall(r"`(?:\S*/)?paywall( (?!web_server)[a-z][^`]*)`", FENCE.sub("", text))
    )


def mistake_in(command: str) -> str | None:
    """Return what a command names that does not exist: a command or an option."""
    group: click.Command = main
    context = click.Context(main)
    words = shlex.split(re.sub(r"[…\[\]|()<>]", " ", command), comments=True)
    while words and isinstance(group, click.Group):
        found = group.get_command(context, words[0])
        if found is None:
            return f"no command {words[0]}"
        group = found
        words = words[1:]
    options = {name for one in group.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in options]
    return f"no option {unknown[0]}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_commands_of_a_page_exist_with_their_options(page: Path) -> None:
    found = {command: mistake_in(command) for command in commands_in(page)}
    assert {command: mistake for command, mistake in found.items() if mistake} == {}


@cache
def routes() -> list[tuple[str, re.Pattern[str]]]:
    spec = reference_pages.description()
    patterns = [(path, re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))) for path in spec["paths"]]
    return [(method.upper(), re.compile(f"{pattern}$")) for path, pattern in patterns for method in spec["paths"][path]]


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_routes_of_a_page_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    named = re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^`\s?]*)", text)
    known = routes()
    wrong = [
        f"{method} {path}"
        for method, path in named
        if "…" not in path and not any(method == one and pattern.match(path) for one, pattern in known)
    ]
    assert wrong == []


def test_readme_shows_a_decision_with_all_its_fields() -> None:
    (shown,) = re.findall(r"```json\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    found = json.loads(shown)
    schemas = reference_pages.description()["components"]["schemas"]
    assert set(found) == set(schemas["AccessOut"]["properties"])
    assert set(found["meter"]) == set(schemas["MeterOut"]["properties"])

"""Test that every link, anchor, image, and path in the docs exists, and every path to the docs elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from service.use_cases.operations.findings import GUIDE, SECTIONS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
FOLDERS = "service|tests|docs|config|demo|stripe_lookalike|bench|release"
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(rf"(?<![\w./-])((?:{FOLDERS})/[\w./*-]+)")
MADE_LATER = {"docs/spec/RSGI.md"}
"""A path in the repository of another project."""


def names(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


@cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words.strip()).replace(" ", "-")
        number = 1
        base = slug
        while slug in found:
            slug, number = f"{base}-{number}", number + 1
        found.add(slug)
    return found


def is_there(target: str, page: Path) -> bool:
    path, _, anchor = target.partition("#")
    found = (page.parent / path).resolve() if path else page
    return found.exists() and (not anchor or found.suffix != ".md" or anchor in anchors(found))


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_links_images_and_anchors_of_a_page_exist(page: Path) -> None:
    targets = LINK.findall(FENCE.sub("", page.read_text("utf-8")))
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not is_there(target, page)] == []


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_paths_in_the_text_and_code_of_a_page_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        pytest.skip("it names the paths of former releases")
    text = LINK.sub("", page.read_text("utf-8"))
    found = [path.rstrip(".") for path in PATH.findall(text)]
    assert [path for path in found if not any(ROOT.glob(path.rstrip("/")))] == []


def texts() -> Iterator[Path]:
    """Yield the files of code and configuration that can name a page of the docs."""
    for folder in FOLDERS.split("|"):
        files = (ROOT / folder).rglob("*")
        yield from (path for path in files if path.is_file() and path.suffix not in (".md", ".pyc", ".png", ".js"))


def test_pages_that_code_and_configuration_name_exist() -> None:
    for path in texts():
        for page, anchor in re.findall(r"\b(docs/[\w/-]+\.md)(#[\w-]+)?", path.read_text("utf-8", "replace")):
            assert page in MADE_LATER or is_there(page + anchor, ROOT / "README.md"), f"{path}: {page}{anchor}"


def test_sections_that_the_doctor_names_exist() -> None:
    assert set(SECTIONS.values()) <= anchors(ROOT / GUIDE)


def test_index_names_every_page() -> None:
    index = DOCS / "README.md"
    linked = {(DOCS / target.partition("#")[0]).resolve() for target in LINK.findall(index.read_text("utf-8"))}
    pages = {page for page in DOCS.rglob("*.md") if "decisions" not in page.parts and page != index}
    assert sorted(pages - linked) == []

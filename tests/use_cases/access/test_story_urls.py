"""Test that the ID of a story is found in its address."""

from __future__ import annotations

import pytest

from service.use_cases.access.story_urls import story_in_url

IN_PATH = "https://www.example.news/story/{story}"
IN_QUERY = "https://example.news/read?lang=en&id=s-{story}"


@pytest.mark.parametrize(
    ("address", "story"),
    [
        ("https://www.example.news/story/harbour", "harbour"),
        ("http://WWW.example.news/story/harbour/", "harbour"),
        ("  https://www.example.news/story/harbour?pass=x.y&utm_source=mail#notes ", "harbour"),
        ("https://www.example.news/story/2026%2Fa%20b%C3%BC", "2026/a bü"),
        ("https://www.example.news/story/2026/11/harbour", "2026/11/harbour"),
        ("https://www.example.news/story/", None),
        ("https://www.example.news/story", None),
        ("https://www.example.news/", None),
        ("https://example.news/story/harbour", None),
        ("https://www.example.news:8443/story/harbour", None),
        ("ftp://www.example.news/story/harbour", None),
        ("www.example.news/story/harbour", None),
        ("harbour", None),
        ("https://[www.example.news/story/harbour", None),
        ("", None),
    ],
)
def test_story_in_the_path_of_an_address_is_found(address: str, story: str | None) -> None:
    assert story_in_url(IN_PATH, address) == story


@pytest.mark.parametrize(
    ("address", "story"),
    [
        ("https://example.news/read?utm_source=x&id=s-har%2Fbour&lang=de", "har/bour"),
        ("https://example.news/read/?id=s-a", "a"),
        ("https://example.news/read?id=harbour", None),
        ("https://example.news/read?id=s-", None),
        ("https://example.news/read?lang=en", None),
        ("https://example.news/other?id=s-a", None),
    ],
)
def test_story_in_a_parameter_of_an_address_is_found(address: str, story: str | None) -> None:
    assert story_in_url(IN_QUERY, address) == story


@pytest.mark.parametrize(
    ("pattern", "address", "story"),
    [
        ("https://example.news/{story}.html", "https://example.news/a.b.html?x=1", "a.b"),
        ("https://example.news/{story}.html", "https://example.news/a", None),
        ("https://example.news/{story}/", "https://example.news/a", "a"),
        ("https://example.news/ab{story}ba", "https://example.news/aba", None),
        ("https://{story}.example.news/", "https://a.example.news/", None),
    ],
)
def test_pattern_decides_where_the_story_is(pattern: str, address: str, story: str | None) -> None:
    assert story_in_url(pattern, address) == story

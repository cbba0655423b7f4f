"""The ID of a story in its address, by the pattern `story_url` of `paywall.toml`."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from service.domain.errors import InvalidFields
from service.domain.ids import wrong_id

PLACE = "{story}"


def read_story_id(typed: str, pattern: str | None) -> str:
    """Return the ID that a person typed, or the one in the address that they pasted. Raises: InvalidFields."""
    found = (story_in_url(pattern, typed) if pattern is not None else None) or typed
    if wrong := wrong_id(found):
        raise InvalidFields([("story", wrong)])
    return found


def story_in_url(pattern: str, address: str) -> str | None:
    """Return the ID in an address that fits the pattern, else `None`.

    The scheme, a slash at the end, and further parameters, such as those of a newsletter or a gift link, do not matter.
    """
    try:
        wanted, given = urlsplit(pattern), urlsplit(address.strip())
    except ValueError:
        return None
    if given.scheme not in ("http", "https") or given.netloc.lower() != wanted.netloc.lower():
        return None
    if PLACE in wanted.path:
        found = _between(wanted.path.rstrip("/"), given.path.rstrip("/"))
        return unquote(found) if found else None
    if wanted.path.rstrip("/") != given.path.rstrip("/"):
        return None
    parameters = dict(parse_qsl(given.query))
    holders = [(name, value) for name, value in parse_qsl(wanted.query) if PLACE in value]
    return next((_between(value, parameters.get(name, "")) or None for name, value in holders), None)


def _between(pattern: str, text: str) -> str | None:
    """Return what stands in the place of `{story}`; `None` where the text does not fit."""
    before, _, after = pattern.partition(PLACE)
    fits = text.startswith(before) and text.endswith(after) and len(text) >= len(before) + len(after)
    return text[len(before) : len(text) - len(after)] if fits else None

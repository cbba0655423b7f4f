"""What a name, an id, a line of text, an address may look like. Each rule returns what is wrong with it, or `None`."""

from __future__ import annotations

import importlib.resources
import ipaddress
import re
import unicodedata
from functools import cache
from urllib.parse import SplitResult, urlsplit

LONGEST_TEXT = 1_000
LONGEST_KEY = 200
"""Stripe's own limit for a lookup key."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOST_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def wrong_name(word: str) -> str | None:
    """The name of a feature, plan, tier, meter or offer; they stand in keys, URLs and answers."""
    if _NAME.fullmatch(word):
        return None
    return "is not a name: use 1 to 64 of the letters A–Z and a–z, digits, _ and -"


def wrong_text(word: str) -> str | None:
    """A line that a reader sees."""
    if not word.strip():
        return "must not be blank"
    if len(word) > LONGEST_TEXT:
        return f"must be at most {LONGEST_TEXT} characters long"
    return "must be one line, without control characters" if _controls(word) else None


def wrong_price(word: str) -> str | None:
    """A Stripe price id, or a lookup key, which the newsroom chose itself."""
    if word.startswith("prod_"):
        return "is a product's id: move it to products"
    return _wrong_stripe_word(word)


def wrong_product(word: str) -> str | None:
    """A Stripe product id; the newsroom may have chosen it itself."""
    if word.startswith("price_"):
        return "is a price's id: move it to prices"
    return _wrong_stripe_word(word)


def wrong_zone(word: str) -> str | None:
    return None if word in zones() else "is not a time zone of the IANA database, such as America/New_York"


@cache
def zones() -> frozenset[str]:
    """tzdata's own list and not the machine's, so that a file is right or wrong everywhere alike."""
    return frozenset(importlib.resources.files("tzdata").joinpath("zones").read_text("utf-8").split())


def wrong_origin(word: str) -> str | None:
    """An origin exactly as a browser writes it, since it is compared with what browsers send."""
    if not word.isascii():
        return "must be in ASCII: write the host as browsers send it, with xn--… for other letters"
    parts = split_url(word)
    if parts is None or parts.hostname is None:
        return "is not an origin: write scheme://host or scheme://host:port, with http or https"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    right = f"{parts.scheme}://{host}{port}"
    if wrong_host(parts.hostname):
        return "has a host name that no browser sends: use letters, digits, dots and hyphens"
    return None if word == right else f'must be an origin and nothing more: write "{right}"'


def wrong_link(word: str) -> str | None:
    """Where a link of the upsell box leads. `javascript:` and `//elsewhere` are not among it."""
    if len(word) > LONGEST_TEXT:
        return f"must be at most {LONGEST_TEXT} characters long"
    if _controls(word) or any(char.isspace() for char in word) or "\\" in word:
        return "must not contain blanks, control characters or backslashes"
    if word.startswith("/") and not word.startswith("//"):
        return None
    return None if split_url(word) else "must be an http:// or https:// address, or a path that begins with one /"


def wrong_story_url(word: str) -> str | None:
    """Where stories are, with `{story}` in the place of the id."""
    bare = word.replace("{story}", "story")
    if word.count("{story}") != 1 or "{" in bare or "}" in bare:
        return "must hold {story} once, where the story's id belongs, and no other braces"
    if wrong := wrong_link(bare):
        return wrong
    if split_url(bare) is None or "#" in bare:
        return "must be an http:// or https:// address without a #"
    return None


def wrong_host(host: str) -> str | None:
    """A host name in lower case, or an address of IPv4 or IPv6 (without brackets)."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        numeric = labels[-1].isdigit()
        if len(host) <= 253 and not numeric and all(_HOST_LABEL.fullmatch(label) for label in labels):
            return None
        return "is not a host name or an address"
    return None


def split_url(word: str) -> SplitResult | None:
    """The parts of an http or https address with a host and, if any, a port that exists; else `None`."""
    if not word.isascii() or any(char <= " " or char == "\x7f" for char in word):
        return None  # urlsplit drops tabs and newlines instead of refusing them.
    try:
        parts = urlsplit(word)
        good = parts.scheme in _DEFAULT_PORTS and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if good else None


def _controls(word: str) -> bool:
    # Cs: half a surrogate pair, which is no text; U+2028 and U+2029 (Zl, Zp) break lines like a newline.
    return any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in word)


def _wrong_stripe_word(word: str) -> str | None:
    if not word or word != word.strip() or _controls(word):
        return "must not be blank, begin or end with a space, or contain control characters"
    return f"must be at most {LONGEST_KEY} characters long" if len(word) > LONGEST_KEY else None

"""Mistakes in the settings, and the rules for names, texts and addresses in them.

Each `wrong_…` rule returns what is wrong with a value, or `None`.
"""

from __future__ import annotations

import difflib
import importlib.resources
import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

SHOWN = 64
"""Characters of a value that a message repeats."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """`where` is a variable's name, or `paywall.toml: plans.supporter.features.0`; `message` says what to do."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class SettingsError(Exception):
    """The service cannot start. `str()` is a line for each mistake; none repeats a secret."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__(self.mistakes)

    def __str__(self) -> str:
        return "\n".join(str(mistake) for mistake in self.mistakes)


def escaped(word: str) -> str:
    """Shorten and escape a value for a terminal or a log: nothing moves the cursor or changes the direction."""
    cut = word if len(word) <= SHOWN else word[: SHOWN - 1] + "…"
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in cut)


def quoted(word: str) -> str:
    return f'"{escaped(word)}"'


def key_shown(key: str) -> str:
    """Return a key of the file as a step of a place, in quotes where TOML requires them."""
    return escaped(key) if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else quoted(key)


def closest(word: str, known: Iterable[str]) -> str:
    """Return `: did you mean "…"?` if one of `known` is similar, else nothing. Upper and lower case are similar."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word[:SHOWN].lower(), by_lower, n=1)
    return f": did you mean {quoted(by_lower[near[0]])}?" if near else ""


def wrong_reference(name: str, table: str, names: Iterable[str]) -> str | None:
    """Check a name that must be one of `names`, those that a table of `paywall.toml` defines."""
    return None if name in names else f"there is no {quoted(name)} in [{table}]{closest(name, names)}"


def places(messages: Any, place: str = "") -> list[tuple[str, str]]:
    """Return marshmallow's nested messages as pairs such as `("plans.supporter.features.0", "must be …")`."""
    if isinstance(messages, str):
        return [(place, messages)]
    if isinstance(messages, Mapping):
        found = []
        for name, inner in messages.items():
            # `_schema` stands for the whole, unless the caller sent a field with that name.
            whole = name == "_schema" and inner != ["Unknown field."]
            inside = place if whole else f"{place}.{name}" if place else str(name)
            found += places(inner, inside)
        return found
    return [pair for inner in messages for pair in places(inner, place)]


LONGEST_TEXT = 1_000
LONGEST_KEY = 200
"""Stripe's own limit for a lookup key."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOST_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def wrong_name(word: str) -> str | None:
    """Check the name of a feature, plan, tier, meter or offer, which keys, URLs and answers contain."""
    if _NAME.fullmatch(word):
        return None
    return "is not a name: use 1 to 64 of the letters A–Z and a–z, digits, _ and -"


def wrong_text(word: str) -> str | None:
    """Check a line that readers see."""
    if not word.strip():
        return "must not be blank"
    if len(word) > LONGEST_TEXT:
        return f"must be at most {LONGEST_TEXT} characters long"
    return "must be one line, without control characters" if _controls(word) else None


def wrong_price(word: str) -> str | None:
    """Check a Stripe price ID, or a lookup key, which the newsroom chose."""
    if word.startswith("prod_"):
        return "is a product's id: move it to products"
    return _wrong_stripe_word(word)


def wrong_product(word: str) -> str | None:
    """Check a Stripe product ID, which the newsroom may have chosen."""
    if word.startswith("price_"):
        return "is a price's id: move it to prices"
    return _wrong_stripe_word(word)


LOCALES = (
    "auto", "bg", "cs", "da", "de", "el", "en", "en-GB", "es", "es-419", "et", "fi", "fil", "fr", "fr-CA", "hr", "hu", "id",
    "it", "ja", "ko", "lt", "lv", "ms", "mt", "nb", "nl", "pl", "pt", "pt-BR", "ro", "ru", "sk", "sl", "sv", "th", "tr", "vi",
    "zh", "zh-HK", "zh-TW",
)  # fmt: skip
"""The languages of Stripe's Checkout page (docs.stripe.com/api/checkout/sessions/create); `auto` is the browser's."""


def wrong_metadata_key(word: str) -> str | None:
    """Return what makes a text no key of Stripe's metadata, or `None`."""
    if wrong := wrong_text(word):
        return wrong
    if len(word) > 40 or "[" in word or "]" in word:
        return "must have at most 40 characters, and no square brackets"
    if word == "price_id":
        return "names the price of a pass, not its reader"
    return "names the recipient of a gift, not who pays" if word in ("gift_recipient", "gift") else None


def wrong_locale(word: str) -> str | None:
    if word in LOCALES:
        return None
    return 'is not a locale of Stripe\'s Checkout, such as "auto", "de" or "pt-BR"' + closest(word, LOCALES)


def wrong_zone(word: str) -> str | None:
    if word in zones():
        return None
    return "is not a time zone of the IANA database, such as America/New_York" + closest(word, zones())


@cache
def zones() -> frozenset[str]:
    """Return the time zones of the tzdata package, not the machine's, so that every machine accepts the same files."""
    return frozenset(importlib.resources.files("tzdata").joinpath("zones").read_text("utf-8").split())


def wrong_origin(word: str) -> str | None:
    """Check an origin, which must be exactly as browsers send it."""
    if not word.isascii():
        return "must be in ASCII: write the host as browsers send it, with xn--… for other letters"
    parts = split_url(word)
    if parts is None or parts.hostname is None:
        return "is not an origin: write scheme://host or scheme://host:port, with http or https"
    right = origin_of(parts)
    if wrong_host(parts.hostname):
        return "has a host name that no browser sends: use letters, digits, dots and hyphens"
    return None if word == right else f'must be an origin and nothing more: write "{right}"'


def origin_of(parts: SplitResult) -> str:
    """Return the origin of an address, exactly as browsers send it."""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def wrong_link(word: str) -> str | None:
    """Check the address of a link in the upsell box; refuse `javascript:` and `//elsewhere`."""
    if len(word) > LONGEST_TEXT:
        return f"must be at most {LONGEST_TEXT} characters long"
    if _controls(word) or any(char.isspace() for char in word) or "\\" in word:
        return "must not contain blanks, control characters or backslashes"
    if word.startswith("/") and not word.startswith("//"):
        return None
    return None if split_url(word) else "must be an http:// or https:// address, or a path that begins with one /"


def wrong_story_url(word: str) -> str | None:
    """Check the address of stories, with `{story}` in the place of the ID."""
    bare = word.replace("{story}", "story")
    if word.count("{story}") != 1 or "{" in bare or "}" in bare:
        return "must hold {story} once, where the story's id belongs, and no other braces"
    if wrong := wrong_link(bare):
        return wrong
    if split_url(bare) is None or "#" in bare:
        return "must be an http:// or https:// address without a #"
    return None


def wrong_host(host: str) -> str | None:
    """Check a host name in lower case, or an address of IPv4 or IPv6 (without brackets)."""
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
    """Split an http or https address with a host and, if any, a valid port; return `None` for anything else."""
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

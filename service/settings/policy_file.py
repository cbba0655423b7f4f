"""`config/paywall.toml` → `Catalogue`, or every mistake in it at once, each with its place.

The shape of the file is in `policy/tables.py`, what must fit together in `policy/references.py`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marshmallow import ValidationError

from service.domain.catalogue import Catalogue
from service.settings.policy.build import catalogue_of
from service.settings.policy.mistakes import Mistake, SettingsError
from service.settings.policy.references import misfits
from service.settings.policy.tables import PolicyTable, places

FILE = "paywall.toml"
LARGEST = 1_048_576
"""Bytes. A policy is a page or two: something larger is another file."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was understood of the file. `catalogue` is `None` where there are mistakes, `livemode` where unclear."""

    catalogue: Catalogue | None
    mistakes: tuple[Mistake, ...] = ()
    livemode: bool | None = None


def load_catalogue(folder: Path) -> Catalogue:
    """The policy of `folder`/paywall.toml. Raises `SettingsError` with all mistakes."""
    return _catalogue(read_folder(folder))


def parse_catalogue(text: str) -> Catalogue:
    """The policy that `text`, in TOML, states. Raises `SettingsError` with all mistakes."""
    return _catalogue(read_text(text))


def check_config(folder: Path) -> list[Mistake]:
    """What `paywall check-config` prints: every mistake, none where the file is good."""
    return list(read_folder(folder).mistakes)


def read_folder(folder: Path) -> Reading:
    """As `load_catalogue`, but with the mistakes as a value."""
    file = folder / FILE
    try:
        if folder.is_file():
            return _unreadable(f"{folder} is a file: name the folder in which {FILE} lies (PAYWALL_CONFIG)")
        if not folder.is_dir():
            return _unreadable(f"there is no folder {folder}: make it, or name another one in PAYWALL_CONFIG")
        if file.is_dir():
            return _unreadable(f"{file} is a folder, and must be a file")
        if not file.exists():
            return _unreadable(f"there is no such file in {folder}: write it, or name another folder in PAYWALL_CONFIG")
        # Not a pipe or a device: reading one of those might never end.
        content = file.read_bytes() if file.is_file() and file.stat().st_size <= LARGEST else None
    except OSError as error:
        return _unreadable(f"{file} cannot be read: {error.strerror or 'the system refuses'}")
    if content is None:
        return _unreadable(f"{file} must be an ordinary file of at most 1 MiB")
    try:
        return read_text(content.decode("utf-8-sig"))  # Some editors put a byte order mark first.
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return _unreadable(f"line {line} is not UTF-8: save the file in UTF-8")


def read_text(text: str) -> Reading:
    """As `parse_catalogue`, but with the mistakes as a value."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _unreadable(f"is not TOML: {_located(str(error), text)}")
    except ValueError:  # Python's own, which has no place, for a number of more than 4 300 digits.
        return _unreadable("is not a policy: a number in it has thousands of digits")
    except RecursionError:
        return _unreadable("is not a policy: brackets are nested too deep")
    found: list[tuple[str, str]] = []
    policy: dict[str, Any] = {}
    try:
        policy = PolicyTable().load(document)
    except ValidationError as error:
        found += places(error.messages)
    found += misfits(document)
    if found:
        return Reading(
            None, tuple(Mistake(f"{FILE}: {place}", message) for place, message in found), _livemode(document)
        )
    return Reading(catalogue_of(policy), (), policy["stripe"]["livemode"])


def _located(message: str, text: str) -> str:
    """tomllib says `(at line 3, column 7)`, except for what it only noticed when the file was over."""
    lines = text.split("\n")
    end = f"at line {len(lines)}, column {len(lines[-1]) + 1}, the end of the file"
    return message.replace("at end of document", end)


def _catalogue(reading: Reading) -> Catalogue:
    if reading.catalogue is None:
        raise SettingsError(reading.mistakes)
    return reading.catalogue


def _unreadable(message: str) -> Reading:
    return Reading(None, (Mistake(FILE, message),))


def _livemode(document: dict[str, Any]) -> bool | None:
    """What a file with mistakes says of `livemode`, so that the key can be held to it at once."""
    stripe = document.get("stripe", {})
    livemode = stripe.get("livemode", False) if isinstance(stripe, dict) else None
    return livemode if isinstance(livemode, bool) else None

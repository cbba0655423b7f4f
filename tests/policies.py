"""Policies that tests write as TOML."""

from __future__ import annotations

from service.domain.catalogue import Catalogue
from service.settings.policy_file import PolicyReading, read_text
from service.settings.validation import SettingsError


def parse_catalogue(text: str) -> Catalogue:
    """Return the policy in `text`. Raises: `SettingsError` with all mistakes."""
    return catalogue_of(read_text(text))


def catalogue_of(reading: PolicyReading) -> Catalogue:
    """Return the policy that was read. Raises: `SettingsError` with all mistakes."""
    if reading.catalogue is None:
        raise SettingsError(reading.mistakes)
    return reading.catalogue

"""Read environment variables, each with its rule: among them the proxies that are trusted, and whether traces are sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network

from service.settings.validation import Mistake, split_url

Wrong = Callable[[str], str | None]
"""Returns what is wrong with a value, or `None`."""

VISIBLE = re.compile(r"[!-~]+")
"""Characters that a header can carry, whatever encoding the two sides use."""
_SIZE = re.compile(r"(\d{1,9})(mb|gb)", re.ASCII)

Network = IPv4Network | IPv6Network


class Environment:
    """Reads variables. A wrong one is added to `mistakes`, and counts as unset."""

    def __init__(self, env: Mapping[str, str], mistakes: list[Mistake]) -> None:
        self._env, self._mistakes = env, mistakes

    def given(self, variable: str) -> bool:
        """Return whether a variable is set, correctly or not."""
        return bool(self._env.get(variable, "").strip())

    def one(self, variable: str, wrong: Wrong | None = None) -> str | None:
        """Return a variable's value; `None` where it is unset, blank or wrong."""
        value = self._text(variable)
        if value and wrong and (message := wrong(value)):
            self.refuse(variable, message)
            return None
        return value or None

    def number(self, variable: str, least: int, most: int) -> int | None:
        """Return a whole number within bounds; `None` where it is unset or wrong."""
        value = self._text(variable)
        digits = value.isascii() and value.isdigit() and len(value) <= 9
        if value and not (digits and least <= int(value) <= most):
            self.refuse(variable, f"must be a whole number from {least} to {most}: set it to one, or leave it unset")
            return None
        return int(value) if value else None

    def size(self, variable: str, least: int) -> int | None:
        """Return a size in bytes, written as `512mb` or `2gb`, from `least` MiB on; `None` where it is unset or wrong."""
        value = self._text(variable)
        found = _SIZE.fullmatch(value.lower())
        mebibytes = int(found[1]) * (1024 if found[2] == "gb" else 1) if found else 0
        if value and mebibytes < least:
            self.refuse(variable, f"must be a size of at least {least}mb: write a number and mb or gb, such as 512mb")
            return None
        return mebibytes * 2**20 or None

    def several(self, variable: str, wrong: Wrong) -> tuple[str, ...]:
        """Return comma-separated secrets, each once, in order."""
        good = []
        for number, entry in self.entries(variable):
            if message := "is blank: drop the comma, or set a secret there" if not entry else wrong(entry):
                self.refuse(variable, f"entry {number} {message}")
            else:
                good.append(entry)
        return tuple(dict.fromkeys(good))

    def entries(self, variable: str) -> Iterator[tuple[int, str]]:
        """Yield the entries between commas, without blanks around them, with their numbers from 1."""
        value = self._text(variable)
        return enumerate((entry.strip() for entry in value.split(",")) if value else (), start=1)

    def refuse(self, variable: str, message: str) -> None:
        """Record a mistake. The message is shown, so it must hold no value that may be a secret."""
        self._mistakes.append(Mistake(variable, message))

    def _text(self, variable: str) -> str:
        value = self._env.get(variable, "").strip()
        if value.isprintable():
            return value
        # This refuses surrogates as well: Python decodes to them what is in another encoding.
        self.refuse(variable, "contains a line break, another control character or text that is not UTF-8: remove it")
        return ""


def read_trusted_proxies(read: Environment) -> tuple[Network, ...]:
    """Return the proxies whose `X-Forwarded-For` names the client, as addresses and networks; empty: none is trusted."""
    networks = []
    for number, entry in read.entries("PAYWALL_TRUSTED_PROXIES"):
        try:
            networks.append(ip_network(entry))
        except ValueError:
            message = f"entry {number} is no address or network: write one such as 127.0.0.1 or 10.0.0.0/8"
            read.refuse("PAYWALL_TRUSTED_PROXIES", message)
    return tuple(networks)


# OpenTelemetry's own variables, which its packages read too.

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"


def read_traces(read: Environment) -> bool:
    """Return whether traces are on: an endpoint is set, or `OTEL_TRACES_EXPORTER=otlp`. `OTEL_SDK_DISABLED` turns them off."""
    disabled = (read.one("OTEL_SDK_DISABLED") or "").lower() == "true"
    exporter = read.one("OTEL_TRACES_EXPORTER")
    named = next((name for name in _ENDPOINTS if read.given(name)), None)
    if disabled or exporter == "none" or not (exporter or named):
        return False
    if exporter not in (None, "otlp"):
        read.refuse("OTEL_TRACES_EXPORTER", "must be otlp or none: this service sends traces by OTLP only")
    for name in _ENDPOINTS:
        read.one(name, _wrong_endpoint)
    for name in _PROTOCOLS:
        read.one(name, lambda value: None if value == PROTOCOL else f"must be {PROTOCOL}, or unset")
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter.otlp.proto.http") is None:
        wrong = "needs packages that are not installed: install paywall[traces], or unset it"
        read.refuse(named or "OTEL_TRACES_EXPORTER", wrong)
    return True


def _wrong_endpoint(value: str) -> str | None:
    return None if split_url(value) else "must be an address such as http://collector:4318"

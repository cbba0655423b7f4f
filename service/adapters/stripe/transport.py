"""How Stripe is asked: the SDK's clients, which share one allowance, with the time-outs of whoever waits for the answer."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import requests
import stripe

from service.adapters.stripe.concurrency_limit import SLOW, ConcurrencyLimit
from service.adapters.stripe.deadlines import Adapter
from service.adapters.stripe.errors import asking
from service.adapters.stripe.rate_limit import RateLimit
from service.domain.errors import StripeUnavailable

API_VERSION = "2026-10-28.endive"
"""What every call asks for; the version of the installed SDK."""

Patience = Literal["inline", "click", "worker"]


@dataclass(frozen=True, slots=True)
class Patient:
    """Seconds: to connect, to wait for the next byte of an answer, for the whole of it, within which the last request may
    begin, to wait for its turn.

    `lines`: how many threads of a process may be at it at once. `slow`: see `ConcurrencyLimit`. `again`: for how many seconds
    what was answered 429 is asked again, when Stripe wants to be asked again.
    """

    connect: float
    read: float
    whole: float
    begin: float
    allowance: float
    lines: int
    slow: float = SLOW
    again: float = 0


# A process has 16 threads (`server.THREADS`): with a Stripe that hangs, some are left for those who read.
PATIENCE: dict[Patience, Patient] = {
    # Somebody waits for a 200 that Stripe wants within 5 s: 1.5 + 1 + 2 is the worst case.
    "inline": Patient(connect=1, read=2, whole=2, begin=1.5, allowance=0.2, lines=6),
    # A reader has pressed a button, and looks at the page.
    "click": Patient(connect=2, read=5, whole=5, begin=5, allowance=2, lines=6, slow=math.inf),
    # A sweep takes as long as it takes.
    "worker": Patient(connect=2, read=5, whole=30, begin=math.inf, allowance=60, lines=100, slow=math.inf, again=20),
}

_CONNECTIONS = 32
"""Kept alive; as many threads as ask at once without opening new ones."""


class Transport:
    """The clients of one process: made at the first use, and anew after a fork, as sockets must not be shared."""

    def __init__(self, key: str, base: str | None, allowance: RateLimit) -> None:
        stripe.enable_telemetry = False  # It also writes an id into the user's home directory.
        logging.getLogger("stripe").setLevel(logging.WARNING)  # At DEBUG it logs parameters: readers' ids.
        self._key, self._base = key, base
        self.allowance = allowance
        self._lock = threading.Lock()
        self._clients: dict[Patience, tuple[stripe.StripeClient, _Paced]] = {}
        self._pid = os.getpid()

    @contextmanager
    def client(self, patience: Patience) -> Iterator[stripe.StripeClient]:
        """The SDK's client for one errand of one or several requests. Raises only what `errors` names."""
        client, paced = self._made(patience)
        with paced.errand(), asking():
            yield client

    def _made(self, patience: Patience) -> tuple[stripe.StripeClient, _Paced]:
        with self._lock:
            if self._pid != os.getpid():
                self._clients, self._pid = {}, os.getpid()
            if patience not in self._clients:
                paced = _Paced(PATIENCE[patience], self.allowance)
                client = stripe.StripeClient(
                    self._key,
                    stripe_version=API_VERSION,
                    max_network_retries=0,
                    base_addresses={"api": self._base} if self._base else None,
                    http_client=paced,
                )
                self._clients[patience] = client, paced
            return self._clients[patience]


class _Paced(stripe.RequestsClient):
    """The SDK's own client over `requests`, which keeps to the allowance and to the errand's time."""

    def __init__(self, patient: Patient, allowance: RateLimit) -> None:
        super().__init__(timeout=(patient.connect, patient.read), session=_session(patient.whole))
        self._patient, self._allowance = patient, allowance
        self._lines = ConcurrencyLimit(patient.lines)
        self._errand = threading.local()

    @contextmanager
    def errand(self) -> Iterator[None]:
        """From now on the time of the errand runs."""
        with self._lines.one(self._patient.allowance, slow=self._patient.slow):
            self._errand.until = time.monotonic() + self._patient.begin
            yield

    def request(  # type: ignore[override] # RequestsClient itself differs from its base in the same way
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        until = time.monotonic() + self._patient.again
        while True:
            self._wait_for_turn()
            body, status, answered = super().request(method, url, headers, post_data)
            if status != 429:
                self._allowance.answered()
                return body, status, answered
            pause = self._allowance.refused(_told(answered))
            if time.monotonic() + pause > until:
                raise StripeUnavailable(_limited(answered), retry_after=pause)

    def _wait_for_turn(self) -> None:
        left = self._errand.until - time.monotonic()
        if left < 0:
            raise StripeUnavailable("slow")
        wait = self._allowance.take(min(self._patient.allowance, left))
        if wait is None:
            raise StripeUnavailable("busy", retry_after=self._allowance.wait())
        if wait:
            time.sleep(wait)


def _told(headers: Mapping[str, str]) -> float:
    """The seconds of a `Retry-After`; 0 without one, or where it is a date."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


def _limited(headers: Mapping[str, str]) -> str:
    reason = headers.get("Stripe-Rate-Limited-Reason", "")
    known = reason.replace("-", "").isalnum() and len(reason) <= 40  # It goes to a log and a metric.
    return f"rate_limited_{reason}" if known else "rate_limited"


def _session(whole: float) -> requests.Session:
    """One for all threads: the SDK alone would make one for each, which under gevent is one for each request."""
    session = requests.Session()
    session.mount("https://", Adapter(whole, _CONNECTIONS))
    session.mount("http://", Adapter(whole, _CONNECTIONS))
    session.auth = _as_it_is
    return session


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keeps the key that the SDK put in: without this a `.netrc` on the machine would replace it."""
    return request

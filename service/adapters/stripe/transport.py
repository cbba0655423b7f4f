"""Send requests to Stripe: the SDK's clients, with the limits and deadlines that every request keeps.

A call has a patience, which names who waits for it. From that follow its time-outs (`PATIENCE`), a deadline for each
response, a limit of concurrent calls, and a rate limit that all threads of a process share. A 429 pauses them all.
"""

from __future__ import annotations

import io
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPResponse
from typing import Any, Literal

import requests
import stripe
from requests.adapters import HTTPAdapter
from stripe import StripeClient  # now, so that forks share it: `stripe.StripeClient` is imported at its first use
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from service.adapters.stripe.errors import domain_errors
from service.adapters.stripe.observation import Observe, path_template
from service.domain.errors import StripeUnavailable

API_VERSION = "2026-10-28.endive"
"""The API version of every request; it is the version of the installed SDK."""

Patience = Literal["inline", "click", "worker"]

PER_SECOND = 10.0
BURST = 20
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
"""Seconds that requests pause after a first 429, and at most; the pause doubles from one 429 to the next."""
LONGEST_RETRY_AFTER = 60.0
"""The most seconds that Stripe's own `Retry-After` is followed."""


@dataclass(frozen=True, slots=True)
class CallLimits:
    """The limits of a call, in seconds.

    `connect` and `read` bound the connection and each wait for bytes, `whole` a whole response. No request of the call
    starts later than `begin`. `queue` bounds the wait for a slot and for the rate limit. `concurrent` calls of a process
    run at once, and `waiting` wait for a slot; further ones fail at once, and so do all that come while the oldest has run
    for longer than `slow`. A request that Stripe answers with 429 is repeated for `retry` seconds.
    """

    connect: float
    read: float
    whole: float
    begin: float
    queue: float
    concurrent: int
    waiting: int
    slow: float
    retry: float = 0


# A process has 16 threads for what is no check (`rsgi.THREADS`): when Stripe hangs, at most twelve wait for it, and after a
# second eight.
PATIENCE: dict[Patience, CallLimits] = {
    # A webhook waits, which Stripe wants answered within 5 s: 1.5 + 1 + 2 is the worst case.
    "inline": CallLimits(connect=1, read=2, whole=2, begin=1.5, queue=0.2, concurrent=4, waiting=2, slow=0.5),
    # A reader has pressed a button, and waits for the page.
    "click": CallLimits(connect=2, read=5, whole=5, begin=5, queue=1, concurrent=4, waiting=2, slow=1),
    # Nobody waits for a full sync.
    "worker": CallLimits(
        connect=2, read=5, whole=30, begin=math.inf, queue=60, concurrent=100, waiting=100, slow=math.inf, retry=20
    ),
}

_CONNECTIONS = 32
"""Connections that are kept alive; as many threads send requests at once without opening new ones."""


class Transport:
    """The SDK clients of one process. They are created at the first use, and again after a fork: sockets are not shared."""

    def __init__(self, key: str, base: str | None, rate_limit: RateLimit, observe: Observe) -> None:
        stripe.enable_telemetry = False  # It also writes an ID into the user's home directory.
        logging.getLogger("stripe").setLevel(
            logging.WARNING
        )  # At DEBUG it logs parameters, which include readers' IDs.
        self._key, self._base, self._rate_limit, self._observe = key, base, rate_limit, observe
        self._lock = threading.Lock()
        self._clients: dict[Patience, tuple[StripeClient, _LimitedClient]] = {}
        self._pid = os.getpid()

    @contextmanager
    def client(self, patience: Patience) -> Iterator[StripeClient]:
        """Yield the SDK's client for one call of one or more requests. Raises: StripeFailure."""
        client, limited = self._client_for(patience)
        with limited.start_call(), domain_errors():
            yield client

    def _client_for(self, patience: Patience) -> tuple[StripeClient, _LimitedClient]:
        with self._lock:
            if self._pid != os.getpid():
                self._clients, self._pid = {}, os.getpid()
            if patience not in self._clients:
                limited = _LimitedClient(PATIENCE[patience], self._rate_limit, self._observe)
                client = StripeClient(
                    self._key,
                    stripe_version=API_VERSION,
                    max_network_retries=0,
                    base_addresses={"api": self._base} if self._base else None,
                    http_client=limited,
                )
                self._clients[patience] = client, limited
            return self._clients[patience]


class _LimitedClient(stripe.RequestsClient):
    """The SDK's own HTTP client over `requests`, which keeps the limits of a call."""

    def __init__(self, limits: CallLimits, rate_limit: RateLimit, observe: Observe) -> None:
        super().__init__(timeout=(limits.connect, limits.read), session=_session(limits.whole))
        self._limits, self._rate_limit, self._observe = limits, rate_limit, observe
        self._concurrency = ConcurrencyLimit(limits.concurrent, limits.waiting)
        self._call = threading.local()

    @contextmanager
    def start_call(self) -> Iterator[None]:
        """Hold a slot for a call; the time of the call runs from then on."""
        with self._concurrency.hold_slot(self._limits.queue, slow=self._limits.slow):
            self._call.until = time.monotonic() + self._limits.begin
            yield

    def request(  # type: ignore[override] # RequestsClient itself differs from its base in the same way
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send a request, and repeat it after a 429 as long as the limits allow. Raises: StripeUnavailable."""
        until = time.monotonic() + self._limits.retry
        while True:
            self._wait_for_rate_limit()
            with self._observe(method.upper(), path_template(url)) as sent:
                body, status, response_headers = super().request(method, url, headers, post_data)
                sent.status = status
            if status != 429:
                self._rate_limit.record_success()
                return body, status, response_headers
            pause = self._rate_limit.record_refusal(_retry_after(response_headers))
            if time.monotonic() + pause > until:
                raise StripeUnavailable(_reason(response_headers), retry_after=pause)

    def _wait_for_rate_limit(self) -> None:
        left = self._call.until - time.monotonic()
        if left < 0:
            raise StripeUnavailable("slow")
        wait = self._rate_limit.reserve(min(self._limits.queue, left))
        if wait is None:
            raise StripeUnavailable("busy", retry_after=self._rate_limit.seconds_until_free())
        if wait:
            time.sleep(wait)


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of a `Retry-After`; 0 if there is none, or if it is a date."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0


def _reason(headers: Mapping[str, str]) -> str:
    reason = headers.get("Stripe-Rate-Limited-Reason", "")
    is_word = reason.replace("-", "").isalnum() and len(reason) <= 40  # It goes to a log and a metric.
    return f"rate_limited_{reason}" if is_word else "rate_limited"


# ------------------------------------------------------------------------------------------------------- limits


class RateLimit:
    """A token bucket for all threads of a process, closed for a while by a 429.

    It stays far below Stripe's limits (100 requests a second, 25 for each endpoint), since there may be many processes.
    """

    def __init__(
        self, per_second: float = PER_SECOND, burst: int = BURST, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._most, self._timer = per_second, float(burst), timer
        self._lock = threading.Lock()
        self._tokens, self._at = self._most, timer()
        self._closed_until, self._pause = self._at, 0.0

    def reserve(self, patience: float) -> float | None:
        """Reserve a request, and return the seconds to wait before it. Return `None` if that is more than `patience`."""
        with self._lock:
            wait = self._wait()
            if wait > patience:
                return None
            self._tokens -= 1
            return wait

    def seconds_until_free(self) -> float:
        """Return the seconds until a request may be sent."""
        with self._lock:
            return self._wait()

    def record_refusal(self, retry_after: float = 0.0) -> float:
        """Pause all requests after a 429, at least for `retry_after` seconds. Return the seconds that the pause lasts."""
        with self._lock:
            now = self._timer()
            if now >= self._closed_until:  # Of many requests under way only the first 429 counts.
                self._pause = min(max(self._pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
                self._closed_until = now + self._pause
            self._closed_until = max(self._closed_until, now + min(retry_after, LONGEST_RETRY_AFTER))
            return self._closed_until - now

    def record_success(self) -> None:
        """Let the next pause be short again."""
        with self._lock:
            if self._timer() >= self._closed_until:
                self._pause = 0.0

    def _wait(self) -> float:
        now = self._timer()
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return max(self._closed_until - now, (1 - self._tokens) / self._rate, 0.0)


class ConcurrencyLimit:
    """A limit of the threads of a process that wait for Stripe at once: the others answer access checks.

    `most` hold a slot, and `waiting` wait for one.
    """

    def __init__(self, most: int, waiting: int) -> None:
        self._most = most
        self._queue = threading.Semaphore(waiting)
        self._changed = threading.Condition()
        self._started: dict[object, float] = {}

    @contextmanager
    def hold_slot(self, patience: float, *, slow: float) -> Iterator[None]:
        """Hold a slot. Raises: StripeUnavailable, if none is free within `patience` seconds, or at once if enough threads wait.

        A thread does not wait while another one has held a slot for more than `slow` seconds.
        """
        slot = object()
        with self._changed:
            if not self._is_free() and not self._is_slow(slow) and self._queue.acquire(blocking=False):
                try:
                    self._changed.wait_for(self._is_free, patience)
                finally:
                    self._queue.release()
            if not self._is_free():
                raise StripeUnavailable("busy")
            self._started[slot] = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                del self._started[slot]
                self._changed.notify()

    def _is_free(self) -> bool:
        return len(self._started) < self._most

    def _is_slow(self, slow: float) -> bool:
        now = time.monotonic()
        return now - min(self._started.values(), default=now) > slow


# ---------------------------------------------------------------------------------------- a deadline for responses


def _session(whole: float) -> requests.Session:
    """Return a session for all threads; the SDK alone would make one for each, under gevent one for each request."""
    session = requests.Session()
    session.mount("https://", DeadlineAdapter(whole))
    session.mount("http://", DeadlineAdapter(whole))
    session.auth = lambda request: request  # With any `auth` set, no password of a .netrc file replaces the SDK's key.
    return session


class DeadlineAdapter(HTTPAdapter):
    """An adapter of `requests` that bounds a whole response, head and body, to `within` seconds.

    A socket's time-out bounds only the wait for the next byte: a server that sends one byte now and then could hold a
    thread without end.
    """

    def __init__(self, within: float) -> None:
        # Set before the base class runs, which creates its pool manager at once.
        self._pools = _pools(partial(_DeadlineResponse, within=within))
        super().__init__(pool_maxsize=_CONNECTIONS)

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, **more)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **more)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(response: Callable[..., HTTPResponse]) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        response_class: Any = staticmethod(response)

    class Secure(HTTPSConnection):
        response_class: Any = staticmethod(response)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _DeadlineResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, within: float, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        reader: Any = self.fp
        self.fp = io.BufferedReader(_DeadlineReader(sock, reader.detach(), time.monotonic() + within))


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until a moment; then it raises `TimeoutError`, as the socket itself would."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, until: float) -> None:
        self._sock, self._raw, self._until = sock, raw, until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the response took too long")
        before = self._sock.gettimeout()
        self._sock.settimeout(left if before is None else min(left, before))
        try:
            return self._raw.readinto(buffer)
        finally:
            self._sock.settimeout(before)

    def close(self) -> None:
        self._raw.close()
        super().close()

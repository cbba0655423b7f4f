"""An answer has its time as a whole. A socket's time-out only bounds the wait for the next byte: who sends one now and
then could hold whoever waits for a 200 as long as he likes.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable
from functools import partial
from http.client import HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class Adapter(HTTPAdapter):
    """Of `requests`: every answer, its head and its body, has arrived `within` so many seconds, or it is a time-out."""

    def __init__(self, within: float, connections: int) -> None:
        self._pools = _pools(partial(_Answer, within=within))  # before the base class, which makes its manager at once
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **more: Any) -> None:
        super().init_poolmanager(*args, **more)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **more)
        manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(answer: Callable[..., HTTPResponse]) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        response_class: Any = staticmethod(answer)

    class Secure(HTTPSConnection):
        response_class: Any = staticmethod(answer)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _Answer(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, within: float, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        read: Any = self.fp
        self.fp = io.BufferedReader(_InTime(sock, read.detach(), time.monotonic() + within))


class _InTime(io.RawIOBase):
    """What comes from a socket until a moment; then `TimeoutError`, as the socket itself would say it."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, until: float) -> None:
        self._sock, self._raw, self._until = sock, raw, until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        before = self._sock.gettimeout()
        self._sock.settimeout(left if before is None else min(left, before))
        try:
            return self._raw.readinto(buffer)
        finally:
            self._sock.settimeout(before)

    def close(self) -> None:
        self._raw.close()
        super().close()

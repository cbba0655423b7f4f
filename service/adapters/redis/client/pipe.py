"""One connection to a server that an event loop shares among all who wait for it.

What is asked in one round of the loop goes out in one write, and the replies come back in the same order. Only the loop's
thread uses a pipe; a thread opens its connection, since that waits.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from contextlib import suppress
from copy import copy
from typing import Any

import hiredis

from service.adapters.redis.client.connection import INCOMPLETE, StoreConnection, failure_in
from service.adapters.redis.client.errors import ConnectionLost
from service.domain.errors import StoreUnavailable

_BUFFER = 256 * 1024
_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
Replies = asyncio.Future[list[Any]]


class Pipe:
    """Sends packed commands and returns futures of their raw replies. `timeout` (seconds) bounds every wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: StoreConnection, timeout: float) -> None:
        self._loop = loop
        self._connection = connection
        self._sock = connection.sock
        self._sock.setblocking(False)
        self._reader = connection.reader
        self._buffer = bytearray(_BUFFER)
        self._timeout = timeout
        self._unsent: list[bytes] = []
        self._replies: list[Any] = []
        self._waiting: deque[tuple[Replies, int, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._retired = False
        self.is_open = True

    def attach(self) -> None:
        """Begin to read. What was sent before waits until then."""
        if self.is_open:
            self._loop.add_reader(self._sock.fileno(), self._read)

    def send(self, packed: bytes, count: int) -> Replies:
        """Send packed commands with the next write; return a future of their `count` replies.

        It fails with StoreUnavailable; with ConnectionLost, nobody knows whether the commands were run.
        """
        loop = self._loop
        future = loop.create_future()
        now = loop.time()
        if not self._unsent:
            loop.call_soon(self._write)
        self._unsent.append(packed)
        self._waiting.append((future, count, now))
        if self._timer is None:
            self._timer = loop.call_at(now + self._timeout, self._check_time)
        return future

    def retire(self) -> None:
        """Close as soon as nobody waits any more."""
        self._retired = True
        if not self._waiting:
            self._close()

    def retire_soon(self) -> None:
        """Do the same from another thread."""
        with suppress(RuntimeError):  # The loop has been closed.
            self._loop.call_soon_threadsafe(self.retire)

    def _write(self) -> None:
        if not self.is_open:
            return
        packed = b"".join(self._unsent)
        self._unsent.clear()
        try:
            sent = self._sock.send(packed) if packed else 0
        except _NOT_NOW:
            sent = 0
        except OSError as error:
            self._fail(ConnectionLost(error.strerror or ""))
            return
        if sent < len(packed):
            # Not empty, so that further commands wait for this one.
            self._unsent.append(packed[sent:])
            self._loop.add_writer(self._sock.fileno(), self._write_on)

    def _write_on(self) -> None:
        self._loop.remove_writer(self._sock.fileno())
        self._write()

    def _read(self) -> None:
        buffer, reader = self._buffer, self._reader
        try:
            while self.is_open:
                size = self._sock.recv_into(buffer)
                if not size:
                    self._fail(ConnectionLost("closed by the store"))
                    return
                reader.feed(buffer, 0, size)  # type: ignore[arg-type]  # the stub omits bytearray
                self._settle()
                if size < _BUFFER and not isinstance(self._sock, ssl.SSLSocket):
                    return
        except _NOT_NOW:
            return
        except OSError as error:
            self._fail(ConnectionLost(error.strerror or ""))
        except hiredis.ProtocolError:
            self._fail(StoreUnavailable("protocol", "the store answers in another protocol"))

    def _settle(self) -> None:
        """Give the replies that have arrived to those who wait for them."""
        waiting, replies, next_reply = self._waiting, self._replies, self._reader.gets
        while (reply := next_reply(False)) is not INCOMPLETE:
            if not waiting:
                self._fail(failure_in([reply]) or ConnectionLost("the store sent what nobody asked for"))
                return
            replies.append(reply)
            future, count, _ = waiting[0]
            if len(replies) == count:
                waiting.popleft()
                if not future.done():  # It was given up: its request has ended.
                    future.set_result(replies)
                replies = self._replies = []
        if self._retired and not waiting:
            self._close()

    def _check_time(self) -> None:
        """Fail if the oldest question has waited too long."""
        self._timer = None
        if self.is_open and self._waiting and self._is_late():
            self._read()  # A busy loop can be late itself: what has arrived counts.
            if self.is_open and self._waiting and self._is_late():
                self._fail(StoreUnavailable("timeout"))
        if self.is_open and self._waiting:
            self._timer = self._loop.call_at(self._waiting[0][2] + self._timeout, self._check_time)

    def _is_late(self) -> bool:
        return self._loop.time() >= self._waiting[0][2] + self._timeout

    def _fail(self, failure: StoreUnavailable) -> None:
        self._close()
        while self._waiting:
            future, *_ = self._waiting.popleft()
            if not future.done():
                future.set_exception(copy(failure))  # each with a traceback of its own

    def _close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._loop.remove_reader(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())
            self._connection.close()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

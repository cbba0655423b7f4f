"""Connections to one server, and the pool that keeps them.

redis-py opens a connection (`opening`). After that this module speaks over the socket itself: packed commands go out in one
write, and hiredis parses the replies. That takes a third of the CPU of redis-py's pipeline, on which an access check would
spend most of its time. `tests/adapters/redis/test_link.py` compares both ways.
"""

# mypy: disable-error-code="no-untyped-call"
# redis-py ships its types, but many of its methods, all constructors among them, have none.

from __future__ import annotations

import select
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import hiredis
from redis import ConnectionPool, Redis
from redis.connection import AbstractConnection

from service.adapters.redis.client.address import Address
from service.adapters.redis.client.errors import ConnectionLost, outage_in
from service.adapters.redis.client.memory import NO_LIMIT
from service.adapters.redis.client.opening import Peer, Tcp, Tls, Unix, open_socket, set_kernel_timeout
from service.domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from service.adapters.redis.client.pipe import Pipe

ReplyError = hiredis.ReplyError
Argument = bytes | str | int
pack: Callable[[tuple[Argument, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # stub: a tuple of one

_BUFFER = 32 * 1024
INCOMPLETE = object()  # hiredis has not read a whole reply yet; None and False are replies
_ROLE = pack((b"ROLE",))


@dataclass(frozen=True)
class Endpoint:
    """The name of a server: a host and a port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


def failure_in(replies: Sequence[Any]) -> StoreUnavailable | None:
    """Return why a server ended a connection, if one of its replies says it."""
    texts = (str(reply) for reply in replies if isinstance(reply, ReplyError))
    return next((StoreUnavailable(why, text) for text in texts if (why := outage_in(text))), None)


class StoreConnection:
    """An open connection. One thread uses it at a time, and then returns it to its pool or closes it.

    Raises: StoreUnavailable if it cannot be opened, ConnectionLost if it breaks later. After either it is closed.
    """

    __slots__ = ("_buffer", "_connection", "_poll", "pooled", "reader", "sock")

    def __init__(self, connection: AbstractConnection, timeout: float) -> None:
        self.pooled = False  # set when it returns to its pool: only then can it have gone stale
        self._connection = connection
        self.sock = open_socket(connection)
        if not isinstance(self.sock, ssl.SSLSocket):
            set_kernel_timeout(self.sock, timeout)
        self.reader = hiredis.Reader(notEnoughData=INCOMPLETE)
        self._buffer = bytearray(_BUFFER)
        self._poll = select.poll()
        self._poll.register(self.sock, select.POLLIN)

    def execute(self, packed: bytes, count: int) -> list[Any]:
        """Send packed commands in one write and return `count` raw replies.

        A reply is bytes, int, list or None; an error reply is a `ReplyError` in its place.
        """
        self.send(packed)
        return self.receive(count)

    def send(self, packed: bytes) -> None:
        """Write packed commands without waiting for the replies."""
        try:
            self.sock.sendall(packed)
        except OSError as error:
            raise self._failure(error, []) from None

    def receive(self, count: int) -> list[Any]:
        """Wait for `count` replies and return them."""
        reader = self.reader
        replies: list[Any] = []
        try:
            while len(replies) < count:
                reply = reader.gets(False)
                if reply is not INCOMPLETE:
                    replies.append(reply)
                    continue
                size = self.sock.recv_into(self._buffer)
                if not size:
                    raise self._failure(None, replies)
                reader.feed(self._buffer, 0, size)  # type: ignore[arg-type]  # the stub omits bytearray
        except OSError as error:
            raise self._failure(error, replies) from None
        except hiredis.ProtocolError:
            self.close()
            raise StoreUnavailable("protocol", "the store answers in another protocol") from None
        except BaseException:
            self.close()
            raise
        return replies

    def _failure(self, error: OSError | None, replies: list[Any]) -> StoreUnavailable:
        """Close the connection, and return the reason.

        A last error reply of the store, such as "max number of clients reached", is the best reason there is.
        """
        if isinstance(error, TimeoutError | BlockingIOError):  # BlockingIOError: the kernel's time-out has elapsed
            self.close()
            return StoreUnavailable("timeout")
        try:
            while not replies and (size := self.sock.recv_into(self._buffer)):
                self.reader.feed(self._buffer, 0, size)  # type: ignore[arg-type]  # as above
                replies = [reply for reply in [self.reader.gets(False)] if reply is not INCOMPLETE]
        except (OSError, hiredis.ProtocolError):
            pass  # the store closed the connection without a reply
        self.close()
        return failure_in(replies) or ConnectionLost((error and error.strerror) or "closed by the store")

    def is_stale(self) -> bool:
        """Return whether the server has closed the connection, or sent something unasked, while it was idle."""
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """Close the connection. Safe to call twice, and in a forked child, whose parent keeps using it."""
        self._connection.disconnect()


class Node:
    """A server and the pool of idle connections to it. The pool is a stack: few connections stay warm, the rest go idle.

    There is no lock: `pop` and `append` of a deque are atomic, and one thread at a time holds a connection.
    """

    __slots__ = ("_address", "_idle", "_peers", "_retired", "_timeout", "endpoint", "memory", "pipe")

    def __init__(self, endpoint: Endpoint, peers: Sequence[Peer], address: Address, timeout: float) -> None:
        self.endpoint = endpoint
        self.memory = NO_LIMIT
        """As the prober read it last."""
        self._peers = peers
        self._address = address
        self._timeout = timeout
        self._idle: deque[StoreConnection] = deque()
        self._retired = False
        self.pipe: Pipe | None = None
        """The connection of an event loop to this server."""

    def execute(self, packed: bytes, count: int, *, repeatable: bool) -> list[Any]:
        """Send packed commands in one write and return `count` replies, errors in their places.

        `repeatable`: the commands change nothing, so an idle connection that turns out to be closed is replaced.

        Raises: StoreUnavailable.
        """
        connection = self.acquire() if repeatable else self.acquire_live()
        try:
            replies = connection.execute(packed, count)
        except ConnectionLost:
            if not (repeatable and connection.pooled):
                raise
            replies, connection = self.execute_again(packed, count)
        self.release(connection)
        return replies

    def execute_again(self, packed: bytes, count: int) -> tuple[list[Any], StoreConnection]:
        """Send commands on a new connection, after an idle one was lost; return the replies and the connection."""
        self.close_idle()  # the others have been idle for longer
        connection = self.connect()
        return connection.execute(packed, count), connection

    def keep_pipe(self, pipe: Pipe) -> None:
        """Keep the connection of an event loop, to retire it with this server."""
        self.pipe = pipe
        if self._retired:
            pipe.retire_soon()

    def acquire(self) -> StoreConnection:
        """Return an idle connection, which can have gone stale, or a new one.

        Raises: StoreUnavailable if a new one cannot be opened.
        """
        try:
            return self._idle.pop()
        except IndexError:
            return self.connect()

    def acquire_live(self) -> StoreConnection:
        """Return a connection that is not known to be closed, for a command that must not be sent twice."""
        while True:
            connection = self.acquire()
            if not (connection.pooled and connection.is_stale()):
                return connection
            connection.close()

    def connect(self) -> StoreConnection:
        """Open a new connection.

        Raises: StoreUnavailable, also where the sentinels' master has become a replica.
        """
        kind, options = self._connection_options()
        connection = StoreConnection(kind(**options), self._timeout)
        if self._address.kind == "sentinel":
            # A deposed master comes back as a replica under the address that this process remembers.
            (role,) = connection.execute(_ROLE, 1)
            if not isinstance(role, list) or role[:1] != [b"master"]:
                connection.close()
                raise StoreUnavailable("no_master", "the server that was the master is no longer the master")
        return connection

    def release(self, connection: StoreConnection) -> None:
        """Return a connection to the pool, after all its replies have been read."""
        connection.pooled = True
        self._idle.append(connection)
        if self._retired:
            self.close_idle()

    def retire(self) -> None:
        """Close the idle connections now, and the others when they come back."""
        self._retired = True
        self.close_idle()
        if self.pipe is not None:
            self.pipe.retire_soon()

    def close_idle(self) -> None:
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:  # another thread has taken the last one
                return

    def redis_py_client(self) -> Redis:
        """Return redis-py's client for this server, for scans and `doctor`; close it after use."""
        self.connect().close()  # the checks of a new connection apply here too
        kind, options = self._connection_options()
        return Redis.from_pool(ConnectionPool(connection_class=kind, **options))

    def _connection_options(self) -> tuple[type[AbstractConnection], dict[str, Any]]:
        address, endpoint = self._address, self.endpoint
        options: dict[str, Any] = {
            "db": address.db,
            "username": address.username,
            "password": address.password,
            "socket_timeout": self._timeout,
            "socket_connect_timeout": self._timeout,
            "driver_info": None,  # no CLIENT SETINFO: it costs two round trips and nothing here uses it
            "protocol": 2,
        }
        if endpoint.path:
            return Unix, {"path": endpoint.path, **options}
        options |= {"host": endpoint.host, "port": endpoint.port, "peers": self._peers}
        if address.tls is None:
            return Tcp, options
        # From Python 3.13 on the default is strict: it refuses what many private authorities issue, without some extensions.
        verified = {
            "ssl_cert_reqs": "required",
            "ssl_check_hostname": True,
            "ssl_exclude_verify_flags": [ssl.VERIFY_X509_STRICT],
        }
        return Tls, {**verified, **address.tls, **options}

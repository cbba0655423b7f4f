"""One open connection to one server, and the quickest honest way to ask over it.

redis-py opens it (TCP or socket, TLS, AUTH, SELECT). From then on we speak over its socket ourselves: packed commands
out in one write, replies in through hiredis. That is a third of the CPU of redis-py's pipeline, which a check would
otherwise spend mostly on the way to the store. `tests/adapters/redis/test_link.py` holds both ways to the same answers.
"""

# mypy: disable-error-code="no-untyped-call"
# redis-py ships its types, but many of its methods, all constructors among them, have none.

from __future__ import annotations

import errno
import select
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import hiredis
from redis.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.adapters.redis.client.address import Address
from service.adapters.redis.client.errors import ConnectionLost, outage_in
from service.domain.errors import StoreUnavailable

ReplyError = hiredis.ReplyError
Part = bytes | str | int
pack: Callable[[tuple[Part, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]  # stub: a tuple of one
Peer = tuple[int, Any]  # address family and socket address, as getaddrinfo gives them

_BUFFER = 32 * 1024
_MORE = object()  # hiredis has not read a whole reply yet; None and False are replies


@dataclass(frozen=True)
class Endpoint:
    """A server's name: host and port, or a socket's path."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


class _Tcp(Connection):
    """A TCP connection to an address that is known already: a request never waits for the name service."""

    def __init__(self, *, peers: Sequence[Peer], **options: Any) -> None:
        self._peers = peers
        super().__init__(**options)

    def _connect(self) -> socket.socket:
        failure = StoreUnavailable("dns", "the store's host has no address")
        for family, peer in self._peers:
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for option, value in self.socket_keepalive_options.items():
                    sock.setsockopt(socket.IPPROTO_TCP, option, value)
                sock.settimeout((self.socket_connect_timeout or 0) / len(self._peers))  # all within one time-out
                sock.connect(peer)
                sock.settimeout(self.socket_timeout)
            except OSError as error:
                sock.close()
                failure = _unopened(error)
            else:
                return sock
        raise failure


class _Tls(SSLConnection, _Tcp):
    """The same, then TLS with the certificate and the host's name verified."""

    def _connect(self) -> ssl.SSLSocket:
        try:
            sock: ssl.SSLSocket = super()._connect()
        except OSError as error:  # ssl.SSLError is one, and so is a CA file that has gone
            raise _unopened(error) from None
        return sock


class _Unix(UnixDomainSocketConnection):
    host = ""  # redis-py reads it for its metrics, and forgets that a socket has none

    def _connect(self) -> socket.socket:
        try:
            sock: socket.socket = super()._connect()
        except OSError as error:
            raise _unopened(error) from None
        return sock


class Wire:
    """An open connection. Not for two threads at once; whoever took it gives it back to its pool or closes it.

    Raises StoreUnavailable where it cannot be opened, ConnectionLost where it breaks later. After either it is closed.
    """

    __slots__ = ("_buffer", "_connection", "_poll", "_reader", "_sock", "pooled")

    def __init__(self, endpoint: Endpoint, peers: Sequence[Peer], address: Address, timeout: float) -> None:
        self.pooled = False  # set when it comes back: only such a one can have gone stale
        self._connection = _connection(endpoint, peers, address, timeout)
        self._sock = _opened(self._connection)
        if not isinstance(self._sock, ssl.SSLSocket):
            _kernel_timeout(self._sock, timeout)
        self._reader = hiredis.Reader(notEnoughData=_MORE)
        self._buffer = bytearray(_BUFFER)
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLIN)

    def ask(self, packed: bytes, count: int) -> list[Any]:
        """One write, `count` raw replies: bytes, int, list, None, or a ReplyError in its place."""
        self.send(packed)
        return self.receive(count)

    def send(self, packed: bytes) -> None:
        """Write commands, packed, without waiting for an answer."""
        try:
            self._sock.sendall(packed)
        except OSError as error:
            raise self._ended(error, []) from None

    def receive(self, count: int) -> list[Any]:
        """Wait for `count` replies."""
        reader = self._reader
        replies: list[Any] = []
        try:
            while len(replies) < count:
                reply = reader.gets(False)
                if reply is not _MORE:
                    replies.append(reply)
                    continue
                size = self._sock.recv_into(self._buffer)
                if not size:
                    raise self._ended(None, replies)
                reader.feed(self._buffer, 0, size)  # type: ignore[arg-type]  # the stub forgets bytearray
        except OSError as error:
            raise self._ended(error, replies) from None
        except hiredis.ProtocolError:
            self.close()
            raise StoreUnavailable("protocol", "the store answers in another protocol") from None
        except BaseException:
            self.close()
            raise
        return replies

    def _ended(self, error: OSError | None, replies: list[Any]) -> StoreUnavailable:
        """Close it, and say why: by the store's own last words, where it had some ("max number of clients reached")."""
        if isinstance(error, TimeoutError | BlockingIOError):  # BlockingIOError: the kernel's time-out ran off
            self.close()
            return StoreUnavailable("timeout")
        try:
            while not replies and (size := self._sock.recv_into(self._buffer)):
                self._reader.feed(self._buffer, 0, size)  # type: ignore[arg-type]  # as above
                replies = [reply for reply in [self._reader.gets(False)] if reply is not _MORE]
        except (OSError, hiredis.ProtocolError):
            pass  # it went without a word
        self.close()
        words = (str(reply) for reply in replies if isinstance(reply, ReplyError))
        told = next(((why, word) for word in words if (why := outage_in(word))), None)
        return StoreUnavailable(*told) if told else ConnectionLost((error and error.strerror) or "closed by the store")

    def stale(self) -> bool:
        """Whether the other side has closed it (or said something unasked) while it lay idle."""
        return bool(self._poll.poll(0))

    def close(self) -> None:
        """Close it. Safe to call twice, and in a forked child, whose parent goes on using it."""
        self._connection.disconnect()


def _connection(endpoint: Endpoint, peers: Sequence[Peer], address: Address, timeout: float) -> AbstractConnection:
    options: dict[str, Any] = {
        "db": address.db,
        "username": address.username,
        "password": address.password,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "driver_info": None,  # no CLIENT SETINFO: two more waits for nothing that we use
        "protocol": 2,
    }
    if endpoint.path:
        return _Unix(path=endpoint.path, **options)
    options |= {"host": endpoint.host, "port": endpoint.port, "peers": peers}
    tls = address.tls
    if tls is None:
        return _Tcp(**options)
    return _Tls(
        ssl_cert_reqs="required",
        ssl_check_hostname=True,
        ssl_ca_certs=tls.ca_certs,
        ssl_ca_path=tls.ca_path,
        ssl_certfile=tls.certfile,
        ssl_keyfile=tls.keyfile,
        ssl_password=tls.password,
        **options,
    )


def _opened(connection: AbstractConnection) -> socket.socket:
    """Connect, log in, and hand out the socket. Every way in which that fails has its word."""
    try:
        connection.connect()
    except RedisTimeoutError:
        raise StoreUnavailable("timeout") from None
    except AuthenticationError:
        raise StoreUnavailable("auth", "the store refuses this user and password") from None
    except RedisError as error:
        word = outage_in(f"{error.status_code} {error}" if error.status_code else str(error))
        raise StoreUnavailable(word or "lost") from None
    sock: socket.socket | None = connection._get_socket()  # redis-py has no public name for it
    if sock is None:
        raise StoreUnavailable("lost")
    return sock


def _kernel_timeout(sock: socket.socket, seconds: float) -> None:
    """Let the kernel watch the clock: Python's own time-out costs a poll before every send and every receive.

    (Not for TLS: there Python would take the kernel's time-out for "wait on".)
    """
    timeval = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
    sock.settimeout(None)


_UNOPENED = {
    errno.ECONNREFUSED: "refused",
    errno.ENOENT: "refused",
    errno.ETIMEDOUT: "timeout",
    errno.EAGAIN: "timeout",  # a socket whose server no longer accepts
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
}


def _unopened(error: OSError) -> StoreUnavailable:
    if isinstance(error, ssl.SSLCertVerificationError):
        return StoreUnavailable("certificate", f"the store's certificate is not trusted: {error.verify_message}")
    if isinstance(error, TimeoutError):
        return StoreUnavailable("timeout")
    if isinstance(error, ssl.SSLError):
        return StoreUnavailable("tls", f"no TLS with the store: {error.reason}")
    return StoreUnavailable(_UNOPENED.get(error.errno or 0, "network"), error.strerror or "")

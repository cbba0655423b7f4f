"""How a connection to a server is opened: TCP or unix socket, TLS, AUTH and SELECT, which redis-py does."""

# mypy: disable-error-code="no-untyped-call"
# redis-py ships its types, but many of its methods, all constructors among them, have none.

from __future__ import annotations

import errno
import socket
import ssl
import struct
from collections.abc import Sequence
from typing import Any

from redis.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.adapters.redis.client.errors import StoreError, outage_in
from service.domain.errors import StoreUnavailable

Peer = tuple[int, Any]
"""An address family and a socket address, as `getaddrinfo` returns them."""


class Tcp(Connection):
    """A TCP connection to addresses that are resolved already: a request never waits for the name service."""

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
                failure = _connect_failure(error)
            else:
                return sock
        raise failure


class Tls(SSLConnection, Tcp):
    """The same connection with TLS; the certificate and the host name are verified."""

    def _connect(self) -> ssl.SSLSocket:
        try:
            sock: ssl.SSLSocket = super()._connect()
        except OSError as error:  # includes ssl.SSLError and a missing CA file
            raise _connect_failure(error) from None
        return sock


class Unix(UnixDomainSocketConnection):
    host = ""  # redis-py reads it for its metrics and does not set it for a unix socket

    def _connect(self) -> socket.socket:
        try:
            sock: socket.socket = super()._connect()
        except OSError as error:
            raise _connect_failure(error) from None
        return sock


def open_socket(connection: AbstractConnection) -> socket.socket:
    """Connect, log in, and return the socket. Every failure becomes a StoreUnavailable with its reason."""
    try:
        connection.connect()
    except RedisError as error:
        failure = failure_from(error)
        raise failure if isinstance(failure, StoreUnavailable) else StoreUnavailable("lost") from None
    sock: socket.socket | None = connection._get_socket()  # redis-py has no public name for it
    if sock is None:
        raise StoreUnavailable("lost")
    return sock


def failure_from(error: RedisError) -> StoreUnavailable | StoreError:
    """Return this package's exception for one of redis-py's."""
    if isinstance(error, RedisTimeoutError):
        return StoreUnavailable("timeout")
    if isinstance(error, AuthenticationError):
        return StoreUnavailable("auth", "the store refuses this user and password")
    why = outage_in(f"{error.status_code} {error}" if error.status_code else str(error))
    if why is None and isinstance(error, ResponseError):
        return StoreError(str(error))
    return StoreUnavailable(why or "lost")


def set_kernel_timeout(sock: socket.socket, seconds: float) -> None:
    """Let the kernel enforce the time-out: Python's own costs a poll before every send and every receive.

    This does not work for TLS: there Python retries when the kernel's time-out elapses.
    """
    timeval = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
    sock.settimeout(None)


_CONNECT_ERRORS = {
    errno.ECONNREFUSED: "refused",
    errno.ENOENT: "refused",
    errno.ETIMEDOUT: "timeout",
    errno.EAGAIN: "timeout",  # a unix socket whose server no longer accepts
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
}


def _connect_failure(error: OSError) -> StoreUnavailable:
    if isinstance(error, ssl.SSLCertVerificationError):
        return StoreUnavailable("certificate", f"the store's certificate is not trusted: {error.verify_message}")
    if isinstance(error, TimeoutError):
        return StoreUnavailable("timeout")
    if isinstance(error, ssl.SSLError):
        return StoreUnavailable("tls", f"no TLS with the store: {error.reason}")
    return StoreUnavailable(_CONNECT_ERRORS.get(error.errno or 0, "network"), error.strerror or "")

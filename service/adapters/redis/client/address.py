"""The store's address: five schemes, one frozen value.

    redis://[user:pass@]host[:6379][/db]
    rediss://[user:pass@]host[:6379][/db]?ssl_ca_certs=FILE
    unix:///path/to/socket?db=N
    redis+sentinel://[user:pass@]host[:26379][,host2…]/SERVICE[/db]
    redis+cluster://[user:pass@]host[:6379][,host2…]

The last two use TLS as `rediss+sentinel` and `rediss+cluster`, with the same `ssl_…` options. User and password are
percent-decoded. No error text repeats a part of the address: a password with an unescaped `/` or `@` could be in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, unquote

Kind = Literal["single", "unix", "sentinel", "cluster"]

_SCHEMES: dict[str, tuple[Kind, bool, int]] = {  # scheme → kind, TLS, default port
    "redis": ("single", False, 6379),
    "rediss": ("single", True, 6379),
    "unix": ("unix", False, 0),
    "redis+sentinel": ("sentinel", False, 26379),
    "rediss+sentinel": ("sentinel", True, 26379),
    "redis+cluster": ("cluster", False, 6379),
    "rediss+cluster": ("cluster", True, 6379),
}
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS_OPTIONS = {*_TLS_FILES, "ssl_ca_path", "ssl_password", "ssl_cert_reqs", "ssl_check_hostname"}
_OPTIONS = {"db", "username", "password"}
_SOCKET_BYTES = 107  # the kernel's limit (104 on macOS, where connecting then fails)
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_.])?")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]+)?")


@dataclass(frozen=True)
class Address:
    """Where the store is. `str()` omits user and password, so it is safe to log.

    `hosts` are (name or IP, port): the server, the sentinels, or some nodes of the cluster. `path` is that of a unix socket.
    """

    kind: Kind
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    db: int = 0
    service: str = ""
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: Mapping[str, str] | None = field(default=None, repr=False)
    """Certificate options under redis-py's names; the system's certificates and `SSL_CERT_FILE` count too."""

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix://{self.path}" + (f"?db={self.db}" if self.db else "")
        scheme = ("rediss" if self.tls is not None else "redis") + ("" if self.kind == "single" else f"+{self.kind}")
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        service = f"/{self.service}" if self.service else ""
        return f"{scheme}://{hosts}{service}" + (f"/{self.db}" if self.db else "")


def parse_address(url: str) -> Address:
    """Parse the store's address.

    Raises: ValueError with a sentence for the operator that repeats no part of the address.
    """
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme.lower() not in _SCHEMES:
        raise ValueError(
            "begins with none of the known schemes: redis://, rediss://, unix://, redis+sentinel://, redis+cluster://"
        )
    kind, secure, port = _SCHEMES[scheme.lower()]
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    login, _, where = authority.rpartition("@")
    options = _options(query, secure)
    username, password = _login(login, options)
    tls = _tls(options) if secure else None
    if kind == "unix":
        return _unix(where, slash + path, options, username, password)
    service = ""
    if kind == "sentinel":
        service, _, path = path.partition("/")
        service = _decoded(service)
        if not service:
            raise ValueError("names no service: it ends in /SERVICE, the name that the sentinels watch the master by")
    hosts = _hosts(where, port)
    if kind == "single" and len(hosts) > 1:
        raise ValueError("names several hosts: that is for redis+sentinel:// and redis+cluster://")
    db = _db(path, options)
    if kind == "cluster" and db:
        raise ValueError("names a database: a cluster has only number 0")
    return Address(kind, hosts, db=db, service=service, username=username, password=password, tls=tls)


def _unix(where: str, path: str, options: dict[str, str], username: str | None, password: str | None) -> Address:
    if where or len(path) < 2:
        raise ValueError("names no socket by its full path: unix:///path/to/socket, with three slashes")
    path = _decoded(path)
    if "\0" in path or len(os.fsencode(path)) > _SOCKET_BYTES:
        raise ValueError(f"names a socket by a path that none can have: at most {_SOCKET_BYTES} bytes")
    return Address("unix", path=path, db=_db("", options), username=username, password=password)


def _decoded(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("has a percent-encoding that is not UTF-8") from None


def _options(query: str, secure: bool) -> dict[str, str]:
    known = _OPTIONS | _TLS_OPTIONS if secure else _OPTIONS
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in _TLS_OPTIONS and not secure:
            raise ValueError(f"has {name}, which needs TLS: the scheme is then rediss://")
        if name not in known:
            raise ValueError(f"has an option that is not known; known are {', '.join(sorted(known))}")
        if name in options:
            raise ValueError(f"has {name} twice")
        options[name] = value
    return options


def _login(login: str, options: dict[str, str]) -> tuple[str | None, str | None]:
    """Return user and password from before the @ or, as in redis-py for sockets, from the query."""
    user, colon, secret = login.partition(":")
    if login and not colon:
        raise ValueError("names a user without a password: it is user:password@, or :password@ alone")
    username = _decoded(user) if user else options.get("username")
    password = _decoded(secret) if colon else options.get("password")
    if username and password is None:
        raise ValueError("names a user without a password")
    return username or None, password


def _hosts(where: str, default_port: int) -> tuple[tuple[str, int], ...]:
    if not where:
        raise ValueError("names no host")
    return tuple(_host(part, default_port) for part in where.split(","))


def _host(part: str, default_port: int) -> tuple[str, int]:
    if part.startswith("["):
        host, bracket, tail = part[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")) or ":" not in host or not _IPV6.fullmatch(host):
            raise ValueError("has a bad IPv6 host: it is [::1]:6379")
        colon, port = tail[:1], tail[1:]
    else:
        host, colon, port = part.partition(":")
        if not _HOST.fullmatch(host):
            raise ValueError("has a bad host name (an IPv6 address stands in brackets; / @ : ? , in a password as %XX)")
    return host, _port(port) if colon else default_port


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise ValueError("has a bad port: a number from 1 to 65535")
    return int(text)


def _db(path: str, options: dict[str, str]) -> int:
    """Return the number of the database from the path or, as in redis-py, from `?db=`."""
    text = path.strip("/")
    if text and "db" in options:
        raise ValueError("names the database twice, in its path and as db=")
    text = text or options.get("db", "")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise ValueError("has a bad database: a number, 0 or more")
    return int(text)


def _tls(options: dict[str, str]) -> dict[str, str]:
    """Return the certificate options.

    Certificate and host name are always verified: an option that asks for less is an error.
    """
    if options.get("ssl_cert_reqs", "required") != "required":
        raise ValueError("has ssl_cert_reqs: the store's certificate is always verified; name its CA as ssl_ca_certs")
    if options.get("ssl_check_hostname", "true").lower() not in ("true", "1", "yes"):
        raise ValueError("has ssl_check_hostname: the store's host name is always verified")
    for name in _TLS_FILES:
        if name in options and not Path(options[name]).is_file():
            raise ValueError(f"has {name}, which names no file that can be read")
    if options.get("ssl_ca_path") and not Path(options["ssl_ca_path"]).is_dir():
        raise ValueError("has ssl_ca_path, which names no folder")
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise ValueError("has ssl_keyfile without ssl_certfile")
    return {name: options[name] for name in (*_TLS_FILES, "ssl_ca_path", "ssl_password") if name in options}

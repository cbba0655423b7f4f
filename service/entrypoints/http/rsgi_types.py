"""What is used of RSGI, granian's own interface (its `docs/spec/RSGI.md`): a request, its headers, and the way to answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol


class Headers(Protocol):
    """Names are lower-case. A value that is not visible ASCII is left out."""

    def __contains__(self, name: str, /) -> bool: ...

    def __getitem__(self, name: str, /) -> str: ...

    def keys(self) -> list[str]: ...

    def get(self, name: str, /) -> str | None: ...

    def get_all(self, name: str, /) -> list[str]: ...


class Scope(Protocol):
    """A request without its body. `path` is decoded, bytes that are not UTF-8 to U+FFFD; the query is as it was sent."""

    http_version: str
    server: str
    client: str
    scheme: str
    method: str
    path: str
    query_string: str
    authority: str | None
    headers: Headers


class Exchange(Protocol):
    """The body, whole by a call or in pieces; and the answer."""

    async def __call__(self) -> bytes: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...

"""Decorators that register API routes: method, path, parameters and handler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from stripe_lookalike.errors import Json
from stripe_lookalike.lists import PAGING

Handler = Callable[..., Json]
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True)
class Route:
    """One route, called as `handler(world, params, **ids)`. `parameters` are the accepted ones, besides `expand`."""

    method: str
    path: str
    handler: Handler
    parameters: frozenset[str]


class Routes:
    """The routes of one resource."""

    def __init__(self) -> None:
        self.all: list[Route] = []

    def get(self, path: str, *parameters: str) -> Callable[[H], H]:
        return self._on("GET", path, parameters)

    def list(self, path: str, *parameters: str) -> Callable[[H], H]:
        """Register a GET with paging."""
        return self._on("GET", path, (*parameters, *PAGING))

    def post(self, path: str, *parameters: str) -> Callable[[H], H]:
        return self._on("POST", path, parameters)

    def delete(self, path: str, *parameters: str) -> Callable[[H], H]:
        return self._on("DELETE", path, parameters)

    def _on(self, method: str, path: str, parameters: tuple[str, ...]) -> Callable[[H], H]:
        def register(handler: H) -> H:
            self.all.append(Route(method, path, handler, frozenset(parameters)))
            return handler

        return register

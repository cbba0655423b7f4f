"""How the API's modules say what they answer: method, path, parameters, function."""

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
    """`handler(world, params, **ids)`; `takes` are the parameters it knows, `expand` aside."""

    method: str
    path: str
    handler: Handler
    takes: frozenset[str]


class Routes:
    """The routes of one resource."""

    def __init__(self) -> None:
        self.all: list[Route] = []

    def get(self, path: str, *takes: str) -> Callable[[H], H]:
        return self._on("GET", path, takes)

    def list(self, path: str, *takes: str) -> Callable[[H], H]:
        """A GET that pages."""
        return self._on("GET", path, (*takes, *PAGING))

    def post(self, path: str, *takes: str) -> Callable[[H], H]:
        return self._on("POST", path, takes)

    def delete(self, path: str, *takes: str) -> Callable[[H], H]:
        return self._on("DELETE", path, takes)

    def _on(self, method: str, path: str, takes: tuple[str, ...]) -> Callable[[H], H]:
        def register(handler: H) -> H:
            self.all.append(Route(method, path, handler, frozenset(takes)))
            return handler

        return register

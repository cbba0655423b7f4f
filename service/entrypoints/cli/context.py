"""What commands share: settings from the environment, the service around its store, output as text or JSON.

The service itself is imported by those commands that work with it: `serve` and `demo` should not wait for it.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

import click
import orjson

from service.adapters.clock import DEMO_CLOCK
from service.adapters.observability.logs import configure_logs
from service.adapters.redis.client.errors import EmbeddedStoreError
from service.adapters.redis.embedded.embedded_store import joined_store
from service.domain import ids, times
from service.domain.errors import StoreUnavailable
from service.settings.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from service.adapters.redis.audit.audit import Actor
    from service.bootstrap import Service

P = ParamSpec("P")
R = TypeVar("R")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def fail(message: str) -> NoReturn:
    """Says what is wrong on standard error and ends with status 1."""
    click.echo(message, err=True)
    sys.exit(1)


def settings() -> Settings:
    """The settings of this environment; ends with status 1 and a line for each mistake."""
    try:
        return load_settings(os.environ)
    except SettingsError as error:
        fail(str(error))


@contextmanager
def service(*, patient: bool = False) -> Iterator[Service]:
    """The service around the store: `REDIS_URL`'s, a running `serve`'s, or the embedded one for this command alone.

    A command waits some seconds for a store that is slow to reach; a `patient` one goes on without it, and waits itself.
    """
    chosen = settings()
    configure_logs(command=True)
    try:
        if chosen.redis_url is not None:
            yield from _around(chosen, chosen.redis_url, patient)
        else:
            with joined_store(chosen.data) as url:
                yield from _around(_in_demo_time(chosen), url, patient)
    except EmbeddedStoreError as error:
        fail(str(error))
    except StoreUnavailable as error:
        fail(f"The store cannot be reached or written now ({error.cause}); nothing was changed.")


def _in_demo_time(chosen: Settings) -> Settings:
    """In a running demo a month may have gone by: who joins its store goes by its clock."""
    clock = chosen.data / DEMO_CLOCK
    return replace(chosen, demo_clock=clock) if clock.exists() else chosen


def _around(chosen: Settings, url: str, patient: bool) -> Iterator[Service]:
    from service.bootstrap import build

    built = build(chosen, url)
    if not patient:
        built.store.link.wait(5.0)
    try:
        yield built
    finally:
        built.close()


def refusals(command: Callable[P, R]) -> Callable[P, R]:
    """Tells a refusal as the API would, and ends with status 1."""

    @wraps(command)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        from service.entrypoints.http.errors import Problem

        try:
            return command(*args, **kwargs)
        except Problem as problem:
            lines = [f"{field}: {message}" for field, message in problem.errors] or [problem.detail]
            fail("\n".join(lines))

    return told


def actor() -> Actor:
    """Who types: `cli:<system user>`."""
    from service.adapters.redis.audit.audit import Actor

    try:
        return Actor(f"cli:{getpass.getuser()}")
    except (OSError, KeyError):
        return Actor(f"cli:{os.getuid()}")


def show(value: Any, as_json: bool, text: Callable[[], str]) -> None:
    """Prints JSON, or the text that tells the same; what a reason holds does nothing to the terminal."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() if as_json else ids.escape_invisible(text()))


class ReaderId(click.ParamType[str]):
    """A reader's id on the command line."""

    name = "reader"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return ids.read_reader(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class AnyId(click.ParamType[str]):
    """Any other id on the command line."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return ids.read_id(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType[float]):
    """A time with an offset on the command line."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return times.read_time(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

"""What commands share: settings from the environment, the service around its store, output as text or JSON.

The service itself is imported by those commands that work with it: `serve` and `demo` should not wait for it.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

import click
import orjson

from service.adapters.clock import DEMO_CLOCK
from service.adapters.observability.logs import configure_logs
from service.adapters.redis.client.errors import EmbeddedStoreError
from service.adapters.redis.embedded.embedded_store import joined_store
from service.domain import ids, times
from service.domain.errors import InvalidFields
from service.domain.typed_times import RelativeTime, parse_typed_time
from service.entrypoints.responses import paging
from service.entrypoints.responses.fields import read_field
from service.settings.settings import Settings, load_settings
from service.settings.validation import SettingsError

if TYPE_CHECKING:
    from service.adapters.redis.audit.audit import Actor
    from service.bootstrap import Service
    from service.entrypoints.responses.lists import ListKind


Command = TypeVar("Command", bound=Callable[..., Any])


class Output(NamedTuple):
    """What a command prints: a value for `--json`, a text with the same content, and its exit status."""

    value: Any
    text: str
    status: int = 0


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def fail(message: str) -> NoReturn:
    """Print what is wrong to standard error, and exit with status 1."""
    click.echo(message, err=True)
    sys.exit(1)


def settings() -> Settings:
    """Return the settings of this environment, or print a line for each mistake and exit with status 1."""
    try:
        return load_settings(os.environ)
    except SettingsError as error:
        fail(str(error))


def config_folder() -> Path:
    """Return the folder of paywall.toml, for commands that need no other settings."""
    return Path(os.environ.get("PAYWALL_CONFIG", "").strip() or "config")


@contextmanager
def service(*, patient: bool = False, traced: bool = False) -> Iterator[Service]:
    """Yield the service around a store: `REDIS_URL`, a running `serve`, or the embedded store for this command alone.

    A command waits some seconds for a store that is slow to reach; a `patient` one goes on without it, and waits itself.
    A `traced` one sends traces if they are on.
    """
    chosen = settings()
    configure_logs(command=True)
    from service.bootstrap import build

    try:
        with ExitStack() as ends:
            url = chosen.redis_url
            if url is None:
                url = ends.enter_context(joined_store(chosen.data, chosen.store_memory))
                chosen = _in_demo_time(chosen)
            built = build(chosen, url, traced=traced)
            ends.callback(built.close)
            if not patient:
                built.store.link.wait(5.0)
            yield built
    except EmbeddedStoreError as error:
        fail(str(error))


def _in_demo_time(chosen: Settings) -> Settings:
    """Return the settings with the clock of a running demo, which may be a month ahead."""
    clock = chosen.data / DEMO_CLOCK
    return replace(chosen, demo_clock=clock) if clock.exists() else chosen


def actor() -> Actor:
    """Return who runs the command: `cli:<system user>`."""
    from service.adapters.redis.audit.audit import Actor

    try:
        return Actor(f"cli:{getpass.getuser()}")
    except (OSError, KeyError):
        return Actor(f"cli:{os.getuid()}")


def open_service() -> Service:
    """Return the service for this command, which closes it when it ends."""
    return click.get_current_context().with_resource(service())


def wants_json() -> bool:
    """Return whether this command was given `--json`."""
    return bool(click.get_current_context().params["as_json"])


def show(output: Output) -> None:
    """Print JSON, or the text, in which no escape sequence reaches the terminal."""
    json = orjson.dumps(output.value, option=orjson.OPT_INDENT_2).decode() if wants_json() else None
    click.echo(ids.escape_invisible(output.text) if json is None else json)


def prints(run: Callable[..., Output]) -> Callable[..., None]:
    """Print what a command returns, as JSON with `--json`, and exit with its status."""

    @json_option
    @wraps(run)
    def command(as_json: bool, **given: Any) -> None:
        output = run(**given)
        show(output)
        if output.status:
            sys.exit(output.status)

    return command


def confirms(question: str, only_with: str | None = None) -> Callable[[Callable[..., Output]], Callable[..., Output]]:
    """Ask before a command does what cannot be taken back, unless `--yes` is given or nobody is at a terminal.

    `question` can name the command's parameters in braces. `only_with` is an option without which nothing is asked. The
    answer no exits with status 1.
    """

    def ask_first(run: Callable[..., Output]) -> Callable[..., Output]:
        @click.option("--yes", is_flag=True, help="Do not ask first. Without a terminal nothing is asked.")
        @wraps(run)
        def command(*args: Any, yes: bool, **given: Any) -> Output:
            takes_away = (only_with is None or given[only_with]) and not given.get("dry_run")
            if takes_away and not yes and sys.stdin.isatty():
                click.confirm(question.format(**given), abort=True, err=True)
            return run(*args, **given)

        return command

    return ask_first


class Invocation:
    """One run of a command: its service, which opens at the first use, its time and who runs it."""

    @cached_property
    def service(self) -> Service:
        """The service, which closes when the command ends."""
        return open_service()

    @cached_property
    def now(self) -> float:
        return self.service.clock()

    def resolve_time(self, value: Any) -> Any:
        """Return the moment of a date or a span that was typed; anything else as it is. An impossible one is a usage error."""
        if not isinstance(value, RelativeTime):
            return value
        moment = value.at(self.now, self.service.settings.catalogue.zone)
        if moment > times.LAST_SECOND:
            raise click.UsageError("The time must be before the year 10000.")
        return moment

    @cached_property
    def actor(self) -> Actor:
        return actor()


def uses_service(run: Callable[..., Output]) -> Callable[..., None]:
    """Call a command with its `Invocation`, and print what it returns."""

    @prints
    @wraps(run)
    def command(**given: Any) -> Output:
        invocation = Invocation()
        return run(invocation, **{name: invocation.resolve_time(value) for name, value in given.items()})

    return command


class Parsed(click.ParamType[Any]):
    """A parameter that `read` turns into its value; `ValueError` becomes a usage error."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value of what was typed; a default is one already."""
        try:
            return self._read(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


READER_ID = Parsed("reader", ids.read_reader)
ANY_ID = Parsed("id", ids.read_id)
STORY = Parsed("id or URL", lambda text: text.strip() if "://" in text else ids.read_id(text))
CUSTOMER_ID = Parsed("id", ids.read_customer)
SUBSCRIPTION_ID = Parsed("id", ids.read_subscription)
KEY_NAME = Parsed("name", ids.read_key_name)
MOMENT = Parsed("time", lambda text: parse_typed_time(text, is_end=False))
"""A time with an offset, a date (its start) or a span from now; `uses_service` passes epoch seconds to the command."""
END = Parsed("time", lambda text: parse_typed_time(text, is_end=True))
"""The same, but a date means until the end of that day."""
END_HELP = "The end: 2027-01-01 (that whole day), 30d or 12h from now, or a time."
REASON = Parsed("text", lambda text: read_field("reason", ids.read_reason, text))

reason_option = click.option("--reason", type=REASON, help="Why; it stands in the audit log.")
required_reason_option = click.option("--reason", required=True, type=REASON, help="Why; it stands in the audit log.")
limit_option = click.option(
    "--limit", type=click.IntRange(1, paging.MOST), default=paging.USUAL, show_default=True, help="How many at most."
)
after_option = click.option("--after", help="The page that follows: `next` of the last answer.")


def _type_and_help(one: paging.ListFilter) -> dict[str, Any]:
    """Return what `click.option` takes for a filter of a list."""
    if one.schema.get("format") == "date-time":
        return {"type": MOMENT, "help": "Only what ends earlier than a date (2027-01-01), a span (30d) or a time."}
    choices = ("true", "false") if one.schema["type"] == "boolean" else one.schema.get("enum")
    return {"type": click.Choice(choices) if choices else None, "help": one.description}


def filter_options(kind: ListKind) -> Callable[[Command], Command]:
    """Add an option for each filter of a list."""

    def add(command: Command) -> Command:
        for name, one in reversed(list(kind.filters.items())):
            command = click.option(f"--{name.replace('_', '-')}", **_type_and_help(one))(command)
        return command

    return add


def read_list_page(kind: ListKind, limit: int, **given: str | float | None) -> paging.Page:
    """Return the page of a list that options ask for, moments in epoch seconds; a wrong option is a usage error."""
    named = {name: value if isinstance(value, str) else times.write_time(value) for name, value in given.items()}
    try:
        return kind.read_page(named, limit)
    except InvalidFields as error:
        raise click.UsageError(
            "; ".join(f"--{field.replace('_', '-')} {message}" for field, message in error.errors)
        ) from None


def list_output(found: paging.Listing, line: Callable[[dict[str, Any]], str], empty: str) -> Output:
    """Return the output of a page of a list: a line for each item, or `empty`."""
    lines = [line(item) for item in found.items] + ([f"More: --after {found.next}"] if found.next else [])
    return Output(found.as_json(), "\n".join(lines) or empty)


def in_words(value: Any) -> str:
    """Return a value of JSON for a line of text: a feature with its end, a list with blanks between its parts."""
    if value is None or value == []:
        return "none"
    if isinstance(value, list):
        return " ".join(in_words(part) for part in value)
    if isinstance(value, dict) and "feature" in value:
        return f"{value['feature']} (until {value['until'] or 'no end'})"
    if isinstance(value, dict):
        return ", ".join(f"{name} {in_words(part)}" for name, part in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)

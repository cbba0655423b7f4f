"""Write the pages of `docs/reference` that come from the code: the API, problem types, and commands.

`make reference` writes them, and a test holds them together with the code. The words are those of `/openapi.json`, of the
error table, and of the commands' help.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import click
from werkzeug.test import Client

from service.bootstrap import build
from service.entrypoints.cli import main
from service.entrypoints.http.openapi.description import CALLERS, REQUEST_PROBLEMS, operations_of
from service.entrypoints.http.wsgi import web
from service.entrypoints.responses.errors import ERRORS, STATUSES
from service.settings.settings import load_settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
NOTE = "<!-- `make reference` writes this page from the code. Change the words there. -->"
Spec = dict[str, Any]

MOST_IN_TYPE, MOST_LISTED = 3, 20
"""Words that a field can have: so many stand as its type, and more in its description."""

INTRODUCTIONS = {
    "Your website": (
        "api-website.md",
        "HTTP API for your website",
        "This page is for developers of the site. It lists every route that takes a site key, with every field. "
        "[Integration](../how-to/integration.md) says how to use them.",
    ),
    "Admins": (
        "api-admins.md",
        "HTTP API for admins",
        "This page is for people who automate what the staff page does. It lists every route that takes an admin key, with "
        "every field. [Access control](../how-to/access-control.md) has the roles.",
    ),
    "Operations": (
        "api-operations.md",
        "HTTP API for operations and Stripe",
        "This page is for people who run the service. It lists the routes that take no key.",
    ),
}

PROBLEMS = """\
# Problem types

This page is for everyone who calls the API. An error is `application/problem+json` (RFC 9457), with the fields `type`,
`title`, `status`, `detail`, and `errors`. Decide by `type`, which never changes. Show `detail` to people: it says what is
wrong and what to do.

```json
{"type": "urn:paywall:problem:invalid", "title": "Invalid input", "status": 422, "detail": "story.id: must have 1 to 128 bytes",
 "errors": [{"field": "story.id", "message": "must have 1 to 128 bytes"}]}
```

`errors` names each field that is wrong. It is empty if no single field is. With 429 and 503, the header `Retry-After` says
in how many seconds a repeat makes sense. Each type begins with `urn:paywall:problem:`, which the table leaves out.
"""

COMMANDS = """\
# Commands

This page is for people who work with the service on its machine. Every command has `--help`, and prints JSON with `--json`.
The exit status is 0 if the work is done, 1 if it was refused or something is wrong, and 2 if the command was called wrongly.
Settings come from the environment: see [configuration](configuration.md).
"""

MEANINGS = {
    "not-json": "The body isn't JSON: it is empty, cut off, nested too deep, or names a key twice.",
    "no-key": "The header `Authorization` has no valid key.",
    "forbidden": "The key is of the other kind, or its role isn't sufficient.",
    "not-found": "There is no such route, or nothing has this ID.",
    "method-not-allowed": "The route exists, but not with this method.",
    "conflict": "The request doesn't fit the current state, or the first request with this `Idempotency-Key` still runs.",
    "too-slow": "The body didn't arrive in time.",
    "too-large": "The body is larger than the route accepts.",
    "path-too-long": "The path has more than 1,200 characters, so no route can match it.",
    "not-json-type": "The body must be sent as `application/json`.",
    "invalid": "A field, a parameter, or an ID in the path is wrong.",
    "too-many": "Too many wrong keys came from this address within a minute.",
    "internal": "The service failed. Its log has more under the ID of the request.",
    "store-unavailable": "The store can't be reached, or can't be written now.",
    "not-stripe": "The webhook isn't signed by Stripe, or isn't an event.",
    "idempotency-key-reused": "The `Idempotency-Key` was used with another body.",
    "not-csv-type": "The file must be sent as `text/csv`, in UTF-8.",
    "already-subscribed": "The reader already holds this plan by a running subscription.",
    "cannot-merge": "A reader can't be merged with itself, or with a reader who was merged into it.",
    "environment-key": "The key is set in the environment. Remove it there.",
    "gifts-used": "The reader has used all gifts of this month. `detail` says when the next month begins.",
    "largest_drop": "The snapshot would end more subscriptions than `largest_drop` allows. `detail` has both numbers.",
    "live-subscription": "A subscription pays for this reader. End it where it is billed first, or add `?force=true`.",
    "name-in-use": "Another key has this name. Revoke it first, or choose another name.",
    "wrong-rows": "Rows of the file are wrong, so nothing was imported. `errors` has the line of each.",
    "stripe-refused": "Stripe refused the request: the key lacks a permission, or a value is wrong. Run `paywall doctor`.",
    "stripe-unavailable": "Stripe is unreachable, or no Stripe key is set.",
}
"""Type → what it means, where the message of its exception doesn't say it in general."""


@cache
def pages() -> Mapping[str, str]:
    """Return each page by its file name."""
    spec = description()
    found = {name: api_page(spec, caller) for caller, (name, *_) in INTRODUCTIONS.items()}
    return found | {"problems.md": problems_page(), "commands.md": commands_page()}


@cache
def description() -> Spec:
    app = web(build(load_settings({"PAYWALL_CONFIG": str(ROOT / "config")}), "redis://127.0.0.1:1")).flask
    found: Spec = Client(app).get("/openapi.json").get_json()
    return found


# -------------------------------------------------------------------------------------------------------------- the API


class ApiPage:
    """One page of routes. An object is shown in full where it appears first; later routes link there."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._shown: dict[str, str] = {}

    def route(self, path: str, method: str, operation: Spec) -> Iterator[str]:
        yield f"\n## {method} {path}\n"
        yield f"{operation['summary']} {operation['description']}\n"
        if operation["parameters"]:
            yield "| parameter | in | description | example |\n|---|---|---|---|"
            for one in operation["parameters"]:
                yield f"| `{one['name']}` | {one['in']} | {cell(one['description'])} | `{plain(one['example'])}` |"
            yield ""
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            yield from self._object("Body", kind, content, f"{method} {path}")
        for status, answer in operation["responses"].items():
            if "$ref" not in answer:
                kind, content = next(iter(answer["content"].items()))
                yield from self._object(f"Answer {status}: {answer['description']}", kind, content, f"{method} {path}")
        refused = [name for name, answer in operation["responses"].items() if "$ref" in answer]
        if refused:
            yield f"[Problems](problems.md): {', '.join(refused)}.\n"

    def _object(self, title: str, kind: str, content: Spec, route: str) -> Iterator[str]:
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        if not name:
            yield f"**{title}** `{kind}`, for example:\n\n```\n{plain(content['example']).strip()}\n```\n"
            return
        rows = list(self._rows(name, ""))
        if not rows:
            return
        if name in self._shown:
            yield f"**{title}** The fields are those of [{self._shown[name]}](#{slug(self._shown[name])}).\n"
            return
        self._shown[name] = route
        yield f"**{title}**\n\n| field | type | description | example |\n|---|---|---|---|"
        yield from rows
        yield ""

    def _rows(self, name: str, prefix: str) -> Iterator[str]:
        schema = self._spec["components"]["schemas"][name]
        required = schema.get("required", ()) if schema.get("additionalProperties") is False else ()
        for field, item in schema.get("properties", {}).items():
            nested, many = self._nested(item)
            words = type_of(item) + (", required" if field in required else "")
            example = "" if nested else f"`{cell(plain(item.get('example')))}`"
            said = item.get("description", "")
            if MOST_IN_TYPE < len(item.get("enum", ())) < MOST_LISTED:
                said += f" One of {', '.join(f'`{word}`' for word in item['enum'] if word is not None)}."
            yield f"| `{prefix}{field}` | {words} | {cell(said)} | {example} |"
            if nested:
                yield from self._rows(nested, f"{prefix}{field}{'[]' if many else ''}.")

    def _nested(self, item: Spec) -> tuple[str, bool]:
        """Return the schema of an object or of a list's objects, and whether it is a list."""
        many = "items" in item
        inner = item["items"] if many else item
        inner = inner["anyOf"][0] if "anyOf" in inner else inner
        return inner.get("$ref", "").rpartition("/")[2], many


def type_of(item: Spec) -> str:
    if "anyOf" in item:
        return " or ".join("null" if one.get("type") == "null" else type_of(one) for one in item["anyOf"])
    if "$ref" in item:
        return "object"
    if "enum" in item and len(item["enum"]) <= MOST_IN_TYPE:
        return " or ".join(f"`{word}`" for word in item["enum"] if word is not None)
    kinds = item["type"] if isinstance(item.get("type"), list) else [item.get("type", "any")]
    named = {"array": "list", "integer": "whole number"}
    words = [f"{named.get(kind, kind)}" for kind in kinds]
    return " or ".join("time" if word == "string" and item.get("format") == "date-time" else word for word in words)


def api_page(spec: Spec, caller: str) -> str:
    _, title, introduction = INTRODUCTIONS[caller]
    tags = (*CALLERS[caller], *(CALLERS["Stripe"] if caller == "Operations" else ()))
    chosen = [one for tag in tags for one in operations_of(spec) if one[2]["tags"][0] == tag]
    lines = [f"# {title}", "", introduction, ""]
    lines += ["Times are UTC. `/docs` of a running service has the same, with a `curl` command for each route.", ""]
    for path, method, operation in chosen:
        lines.append(f"- [{method} {path}](#{slug(f'{method} {path}')}): {operation['summary']}")
    page = ApiPage(spec)
    for path, method, operation in chosen:
        lines += page.route(path, method, operation)
    return finished(lines)


# ---------------------------------------------------------------------------------------------- problems and commands


def problems_page() -> str:
    rows = {kind: (status, title, MEANINGS[kind]) for status, (kind, title) in STATUSES.items()}
    rows |= {kind: (status, STATUSES[status][1], MEANINGS[kind]) for status, kind in REQUEST_PROBLEMS}
    for row in ERRORS:
        if row.kind is not None:
            said = row.message if isinstance(row.message, str) else first_sentence(row.error.__doc__ or "")
            rows[row.kind] = (row.status, row.title or STATUSES[row.status][1], MEANINGS.get(row.kind, said))
    lines = [PROBLEMS, "| type | status | title | meaning |", "|---|---|---|---|"]
    for kind, (status, title, meaning) in sorted(rows.items(), key=lambda one: (one[1][0], one[0])):
        lines.append(f"| `{kind}` | {status} | {title} | {cell(meaning)} |")
    return finished(lines)


def commands_page() -> str:
    lines = [COMMANDS]
    context = main.make_context("paywall", [], resilient_parsing=True)
    for path, command in commands(main, context, ()):
        if isinstance(command, click.Group):
            lines.append(f"## paywall {' '.join(path)}\n\n{help_of(command)}\n")
            continue
        inner = click.Context(command, info_name=path[-1], parent=context)
        usage = " ".join(command.collect_usage_pieces(inner))
        lines.append(f"{'##' if len(path) == 1 else '###'} paywall {' '.join(path)}\n")
        lines.append(f"{help_of(command)}\n\n```\npaywall {' '.join(path)} {usage}\n```\n".replace(" \n", "\n"))
        options = [
            one for one in command.params if isinstance(one, click.Option) and one.name not in ("help", "as_json")
        ]
        if options:
            lines += ["| option | description |", "|---|---|", *(option_row(one, inner) for one in options), ""]
    return finished(lines)


def commands(
    group: click.Group, context: click.Context, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if command.hidden:
            continue
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, click.Context(command, info_name=name, parent=context), (*path, name))


def help_of(command: click.Command) -> str:
    text = inspect.cleandoc(command.help or "").partition("\f")[0].replace("\b\n", "")
    return text.strip()


def option_row(option: click.Option, context: click.Context) -> str:
    written, said = option.get_help_record(context) or ("", "")
    said = re.sub(r"\s*\[required\]", "", said)
    needed = " Required." if option.required else ""
    return f"| `{written.replace('|', chr(92) + '|')}` | {cell(said)}{needed} |"


# ---------------------------------------------------------------------------------------------------------------- words


def finished(lines: list[str]) -> str:
    return "\n".join(lines).rstrip() + f"\n\n{NOTE}\n"


def first_sentence(text: str) -> str:
    return re.split(r"(?<=\.)\s", " ".join(text.split()), maxsplit=1)[0]


def plain(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) < 200 or " " in text else f"{text[:40]}…"


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


if __name__ == "__main__":
    for name, text in pages().items():
        (FOLDER / name).write_text(text)

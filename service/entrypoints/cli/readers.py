"""`paywall explain`, `paywall readers …`: what a reader holds, and why she sees what she sees."""

from __future__ import annotations

from typing import Any

import click

from service.bootstrap import Service
from service.domain.catalogue import Story
from service.domain.reader_sentences import reader_sentence
from service.domain.times import write_time
from service.entrypoints.cli import context as session
from service.entrypoints.cli import privacy
from service.entrypoints.cli import seats as belonging
from service.entrypoints.http.api.decisions import encoded
from service.entrypoints.http.api.readers import tell
from service.use_cases.access.explain import Told


def add_to(main: click.Group) -> None:
    """Adds these commands."""
    main.add_command(explain)
    privacy.add_to(readers)
    belonging.add_to_readers(readers)
    main.add_command(readers)


@click.command()
@click.option("--reader", type=session.ReaderId(), help="The reader's id.")
@click.option("--story", type=session.AnyId(), help="The story's id; it counts as of the default tier.")
@click.option(
    "--at", type=session.Moment(), help="Another moment: a past one as it stood, a future one if nothing changes."
)
@click.option("--decision", help="A decision's id instead: what was answered then.")
@session.json_option
@session.refusals
def explain(reader: str | None, story: str | None, at: float | None, decision: str | None, as_json: bool) -> None:
    """Tell why a reader sees what she sees: each step, and what led there. Nothing is counted."""
    if decision is not None and (reader or story or at is not None):
        raise click.UsageError("Give either --decision, or --reader and --story.")
    if decision is None and (reader is None or story is None):
        raise click.UsageError("Give --reader and --story, or --decision.")
    with session.service() as service:
        told = _told(service, reader or "", story or "", at, decision)
        if told is None:
            session.fail("No decision of the last seven days has this id.")
        session.show(encoded(told), as_json, lambda: as_text(service, told))


def _told(service: Service, reader: str, story: str, at: float | None, decision: str | None) -> Told | None:
    now, why = service.clock(), service.why
    if decision is not None:
        return why.decision(decision, now)
    return why.now(reader, Story(story), now) if at is None else why.at(reader, Story(story), at, now)


def as_text(service: Service, told: Told) -> str:
    """The same for people: a sentence that may be sent to the reader, then the trace for staff."""
    shown = {"full": "the full story", "upsell": "the upsell box", None: "something that is not known for certain"}
    who = told.reader or (f"the visitor {told.visitor}" if told.visitor else "somebody unknown")
    when = write_time(told.at)
    reason = told.reason.value if told.reason else "the meter decided"
    lines = [f"{who}, {told.story} ({told.tier}), at {when}: {shown[told.show]}: {reason}"]
    if told.reason is not None:
        lines.append(f"To the reader: {reader_sentence(told.decision, service.settings.catalogue)}")
    for step in encoded(told)["explain"]:
        changes = step["values"].get("changes")
        values = {
            name: value for name, value in step["values"].items() if value not in (None, [], {}) and name != "changes"
        }
        text = ", ".join(f"{name} {_value(value)}" for name, value in values.items())
        lines.append(f"  {step['step']}: {step['verdict']}" + (f"  [{text}]" if text else ""))
        lines += [f"    {_change(change)}" for change in changes or ()]
    return "\n".join(lines)


def _value(value: Any) -> str:
    """A value of a step in a line: what is held with its end, lists with a blank between."""
    if isinstance(value, list):
        return " ".join(_value(part) for part in value)
    if isinstance(value, dict) and "feature" in value:
        return f"{value['feature']} (until {value['until'] or 'no end'})"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _change(change: dict[str, Any]) -> str:
    audit = change.get("audit")
    by = f"audit {audit['seq']}: {audit['action']} by {audit['actor']}" if audit else ""
    by += f": {audit['reason']}" if audit and audit["reason"] else ""
    others = [
        f"{name} {value}" for name, value in change.items() if name in ("event", "sweep", "catchup", "import") and value
    ]
    end = f" until {change['until']}" if change["until"] else ""
    cause = by or ", ".join(others) or "cause not kept"
    return f"{change['at']} {change['source']} {change['status']}{end} ({cause})"


@click.group()
def readers() -> None:
    """Look at readers, link what is theirs, merge two, export or erase one."""


@readers.command("show")
@click.argument("reader", type=session.ReaderId())
@click.option("--at", type=session.Moment(), help="Another moment, past or future.")
@session.json_option
@session.refusals
def show(reader: str, at: float | None, as_json: bool) -> None:
    """Show what a reader holds, from what, and until when."""
    with session.service() as service:
        told = tell(service.profiles, reader, at, service.clock())
        session.show(told, as_json, lambda: _profile(told))


def _profile(told: dict[str, Any]) -> str:
    lines = [f"{told['reader']}: {'has access' if told['access'] else 'has no access'}"]
    lines += [f"  {f['feature']} until {f['until'] or 'no end'} ({f['source']})" for f in told["features"]]
    lines += [
        f"  {s['type']} {s['id']}: {s['plan'] or '-'}, {s['status']}, {s['standing']}, until {s['until'] or 'no end'}"
        for s in told["sources"]
    ]
    lines += [f"  {m['name']}: {m['used']} of {m['limit']} used" for m in told["meters"]]
    return "\n".join(lines)

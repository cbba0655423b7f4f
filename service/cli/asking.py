"""`paywall explain`, `paywall readers …`: what a reader holds, and why she sees what she sees."""

from __future__ import annotations

from typing import Any

import click

from service.app import Service
from service.cli import session
from service.desk import Question
from service.paywall.catalogue import Story
from service.web import encode
from service.web.readers import tell


def add_to(main: click.Group) -> None:
    """Adds these commands."""
    main.add_command(explain)
    main.add_command(readers)


@click.command()
@click.option("--reader", required=True, type=session.ReaderId(), help="The reader's id.")
@click.option("--story", required=True, type=session.AnyId(), help="The story's id; it counts as of the default tier.")
@session.json_option
@session.refusals
def explain(reader: str, story: str, as_json: bool) -> None:
    """Tell whether a reader may read a story, and each step that led there. Nothing is counted."""
    with session.service() as service:
        told = explained(service, reader, story)
        session.show(told, as_json, lambda: as_text(told))


def explained(service: Service, reader: str, story: str) -> dict[str, Any]:
    """The answer that the website would get now, with its ladder; nothing is counted."""
    now = service.clock()
    answer = service.desk.ask(Question(Story(story), reader, count=False), now)
    decision = answer.decision
    return {
        "decision_id": service.decision_ids.seal(answer),
        "at": encode.time(now),
        "reader": reader,
        "visitor": None,
        "story": story,
        "show": decision.show,
        "reason": decision.reason.value,
        "tier": decision.tier,
        "parts": {},
        "meter": encode.meter(decision.meter) if decision.meter else None,
        "source": (
            {"type": decision.source.type, "id": decision.source.id, "plan": decision.source.plan}
            if decision.source
            else None
        ),
        "policy_revision": service.settings.catalogue.revision,
        "explain": encode.steps(decision, answer.tier),
    }


def as_text(told: dict[str, Any]) -> str:
    """The same for people."""
    seen = "the full story" if told["show"] == "full" else "the upsell box"
    lines = [f"{told['reader']} sees {seen} of {told['story']} ({told['tier']}): {told['reason']}"]
    for step in told["explain"]:
        values = ", ".join(f"{name}={value}" for name, value in step["values"].items() if value not in (None, [], {}))
        lines.append(f"  {step['step']}: {step['verdict']}" + (f"  [{values}]" if values else ""))
    return "\n".join(lines)


@click.group()
def readers() -> None:
    """Look at readers."""


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

"""`paywall explain`: why a reader sees a story as they do."""

from __future__ import annotations

from typing import Any

import click

from service.domain.catalogue import Catalogue
from service.domain.decision import NextStep
from service.domain.errors import UnknownStory
from service.domain.reader_sentences import reader_sentence
from service.domain.times import write_time
from service.entrypoints.cli import session
from service.entrypoints.cli.session import Invocation, Output
from service.entrypoints.responses.access import DecisionOut
from service.entrypoints.responses.errors import problem_of
from service.entrypoints.responses.stories import story_text
from service.use_cases.access.explain import Explanation


@click.command()
@click.option("--reader", type=session.READER_ID, help="The reader's id.")
@click.option("--story", type=session.STORY, help="The story's id, or its address where story_url is set.")
@click.option("--verified", is_flag=True, help="The site has verified the reader's address, and says so.")
@click.option("--tier", help="The story's tier, where the site named another one or has not asked about it.")
@click.option(
    "--at", type=session.MOMENT, help="Another moment: a past one as it stood, a future one if nothing changes."
)
@click.option("--decision", help="A decision's id instead: what was answered then.")
@session.uses_service
def explain(
    run: Invocation,
    reader: str | None,
    story: str | None,
    verified: bool,
    tier: str | None,
    at: float | None,
    decision: str | None,
) -> Output:
    """Explain why a reader sees a story as they do: each step, and what led there. Nothing is counted.

    The story is as the site last described it in an access check or a batch.
    """
    if decision is not None and (reader or story or verified or tier or at is not None):
        raise click.UsageError("Give either --decision, or --reader and --story.")
    if decision is None and (reader is None or story is None):
        raise click.UsageError("Give --reader and --story, or --decision.")
    tiers = run.service.settings.catalogue.tiers
    if tier is not None and tier not in tiers:
        raise click.UsageError(f"There is no tier {tier}; there are {', '.join(tiers)}.")
    if decision:
        found = run.service.explainer.explain_decision(decision, run.now)
    else:
        try:
            found = run.service.explainer.explain_access(
                reader or "", story or "", at, run.now, tier=tier, verified=verified
            )
        except UnknownStory as error:
            session.fail(f"{problem_of(error).detail} Give its tier with --tier: {', '.join(tiers)}.")
    written = DecisionOut.write(found)
    return Output(written, _as_text(found, written["explain"], run.service.settings.catalogue))


def _as_text(found: Explanation, steps: list[dict[str, Any]], catalogue: Catalogue) -> str:
    """Return the explanation for people: a sentence that may be sent to the reader, then the steps for staff."""
    shown = {"full": "the full story", "upsell": "the upsell box", None: "not known for certain"}
    who = found.reader or (f"the visitor {found.visitor}" if found.visitor else "an unknown visitor")
    when = write_time(found.at)
    reason = found.reason.value if found.reason else "the meter decided"
    lines = [f"{who}, {found.story} ({found.decision.tier}), at {when}: {shown[found.show]}: {reason}"]
    if found.known is not None:
        lines.append(f"Story: {story_text(found.known, found.origin)}")
    if found.reason is not None:
        lines.append(f"To the reader: {reader_sentence(found.decision, catalogue)}")
    if found.decision.next:
        lines.append(f"Would open it: {'; or '.join(map(_next_step, found.decision.next))}")
    for step in steps:
        changes = step["values"].get("changes")
        values = {
            name: value for name, value in step["values"].items() if value not in (None, [], {}) and name != "changes"
        }
        text = ", ".join(f"{name} {session.in_words(value)}" for name, value in values.items())
        lines.append(f"  {step['step']}: {step['verdict']}" + (f"  [{text}]" if text else ""))
        lines += [f"    {_change(change)}" for change in changes or ()]
    return "\n".join(lines)


def _next_step(step: NextStep) -> str:
    if step.step == "sign_in":
        return "signing in with a verified address" if step.verified else "signing in"
    if step.step == "subscribe":
        return f"buying {' or '.join(step.plans or ())}"
    return "verifying the address" if step.step == "verify" else f"waiting until {write_time(step.until)}"


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

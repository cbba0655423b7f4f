"""One wait for questions to several servers: all are sent before the first answer is read.

A cluster may answer "not here": MOVED (the slot lives elsewhere now), ASK (this key does, while the slot is moving), or
TRYAGAIN (the keys of one question are on both sides). None of them has done anything, so asking elsewhere is safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from service.adapters.redis.client.connection import Endpoint, ReplyError, Wire, pack
from service.adapters.redis.client.errors import ConnectionLost
from service.adapters.redis.client.nodes import Node

_ASKING = pack((b"ASKING",))


class Question(NamedTuple):
    """A packed command for a node; `asking` where the node is to answer for a slot that is still on its way to it."""

    node: Node
    packed: bytes
    asking: bool = False


class Redirect(NamedTuple):
    """Where a cluster sends a question: `kind` is MOVED, ASK or TRYAGAIN (then `endpoint` is who said so)."""

    kind: str
    endpoint: Endpoint


def ask(node: Node, packed: bytes, count: int, *, again: bool) -> list[Any]:
    """One write to one node and `count` replies, errors in their places. Raises StoreUnavailable.

    `again`: nothing is changed by asking twice, so an idle connection that turns out to be closed is replaced.
    """
    wire = node.take() if again else node.take_sound()
    try:
        replies = wire.ask(packed, count)
    except ConnectionLost:
        if not (again and wire.pooled):
            raise
        node.drop()  # the others have lain idle for longer
        wire = node.dial()
        replies = wire.ask(packed, count)
    node.give(wire)
    return replies


def ask_all(questions: Sequence[Question], *, again: bool) -> list[Any]:
    """One reply a question, in order; one write a node. Raises StoreUnavailable, and closes what is left unread."""
    groups: dict[Node, list[int]] = {}
    for number, question in enumerate(questions):
        groups.setdefault(question.node, []).append(number)
    replies: list[Any] = [None] * len(questions)
    unread: dict[Node, Wire] = {}
    try:
        for node, numbers in groups.items():
            wire = unread[node] = node.take() if again else node.take_sound()
            try:
                wire.send(_packed(questions, numbers))
            except ConnectionLost:
                if not (again and wire.pooled):
                    raise
        for node, numbers in groups.items():
            answers = _answers(node, unread[node], _packed(questions, numbers), _count(questions, numbers), again)
            node.give(answers[1])
            del unread[node]
            _place(questions, numbers, answers[0], replies)
    finally:
        for wire in unread.values():
            wire.close()
    return replies


def _packed(questions: Sequence[Question], numbers: Sequence[int]) -> bytes:
    return b"".join([(_ASKING if questions[n].asking else b"") + questions[n].packed for n in numbers])


def _count(questions: Sequence[Question], numbers: Sequence[int]) -> int:
    return len(numbers) + sum(questions[n].asking for n in numbers)


def _answers(node: Node, wire: Wire, packed: bytes, count: int, again: bool) -> tuple[list[Any], Wire]:
    try:
        return wire.receive(count), wire
    except ConnectionLost:
        if not (again and wire.pooled):
            raise
    node.drop()
    wire = node.dial()
    return wire.ask(packed, count), wire


def _place(questions: Sequence[Question], numbers: Sequence[int], answers: list[Any], replies: list[Any]) -> None:
    answer = iter(answers)
    for number in numbers:
        if questions[number].asking:
            next(answer)  # ASKING's own OK
        replies[number] = next(answer)


def redirect_in(reply: Any, node: Node) -> Redirect | None:
    """What a node's reply says about where to ask instead; None where it is an answer."""
    if reply.__class__ is not ReplyError:
        return None
    kind, _, rest = str(reply).partition(" ")
    if kind == "TRYAGAIN":
        return Redirect(kind, node.endpoint)
    if kind not in ("MOVED", "ASK"):
        return None
    host, _, port = rest.rpartition(" ")[2].rpartition(":")
    return Redirect(kind, Endpoint(host or node.endpoint.host, int(port)))

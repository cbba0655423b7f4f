"""Decision IDs: each answer is sealed into its own ID, so that a check writes nothing and staff can explain it later.

An ID holds who asked, about what, when, and the decision: a `SealedDecision` as a compact JSON array, encrypted and
authenticated. An ID reveals nothing to whoever has it, and a changed character makes it invalid. Features are kept as
their position in the catalogue that `policy_revision` names. A decision too long for an ID (many long names) is kept
sealed in the store for as long as IDs are valid, and its ID names the record.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Literal

import msgspec

from service.adapters.crypto import Sealer
from service.adapters.redis.service_state.decision_records import DecisionOverflow
from service.domain.catalogue import Catalogue
from service.domain.decision import Decision, NextStep
from service.domain.errors import StoreUnavailable
from service.domain.meter import MeterStanding
from service.domain.sources import Holding, Reason, SourceType, Standing
from service.use_cases.access.check import AccessAnswer
from service.use_cases.access.check_memory import interned

FORMAT = 1
"""Raise it only for a change that an older service would misread; a new field with a default, at the end, is none."""
VALID_FOR = 7 * 86_400
"""Seconds for which an ID can be explained."""
MAX_LENGTH = 1_000
_UNCOMPRESSED = 500
_MAX_SEALED = (MAX_LENGTH * 3) // 4 - 29


class SealedSource(msgspec.Struct, frozen=True, array_like=True):
    """The source that opened the story."""

    type: SourceType
    id: str
    plan: str | None
    until: int | None


class SealedMeter(msgspec.Struct, frozen=True, array_like=True):
    """The meter that decided. `seen` and `counted` are 0 or 1, which is shorter in JSON."""

    name: str
    limit: int
    used: int
    seen: int
    counted: int
    resets_at: int | None
    plan: str | None = None


class SealedStep(msgspec.Struct, frozen=True, array_like=True):
    """A step that would have opened the story."""

    step: Literal["sign_in", "verify", "subscribe", "wait"]
    value: bool | int | Sequence[str] | None = None
    """The field of the step: `verified`, `plans` or `until`."""


class SealedDecision(msgspec.Struct, frozen=True, array_like=True):
    """What an ID holds. The order of the fields is the format: add a field at the end, with a default."""

    format: int
    at: float
    policy_revision: str
    reader: str | None
    visitor: str | None
    story: str
    show: Literal["full", "upsell"]
    reason: Reason
    tier: str
    parts: Sequence[tuple[str, int]]
    held: Sequence[tuple[int | str, int | None]]
    source: SealedSource | None
    meter: SealedMeter | None
    refresh_after: int | None
    degraded: int
    next: Sequence[SealedStep] = ()

    def decision(self, features: Sequence[str] | None) -> Decision:
        """Return the decision. `features` are those of the policy it was made by; `None`: that policy is not kept."""
        source, meter = self.source, self.meter
        return Decision(
            show=self.show,
            reason=self.reason,
            tier=self.tier,
            parts=tuple((part, bool(opened)) for part, opened in self.parts),
            held=tuple((_feature_name(place, features), until) for place, until in self.held),
            source=Holding(source.type, source.id, source.plan, (), "", Standing.GOOD, self.reason, None, source.until)
            if source
            else None,
            meter=MeterStanding(
                meter.name, meter.limit, meter.used, bool(meter.seen), meter.resets_at, bool(meter.counted), meter.plan
            )
            if meter
            else None,
            refresh_after=self.refresh_after,
            degraded=bool(self.degraded),
            next=tuple([_opened_step(step) for step in self.next]),
        )


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(SealedDecision).decode


def _feature_name(place: int | str, features: Sequence[str] | None) -> str:
    if isinstance(place, str):
        return place
    return features[place] if features is not None else f"feature {place}"


def _opened_step(sealed: SealedStep) -> NextStep:
    value = sealed.value
    return NextStep(
        sealed.step,
        verified=bool(value) if sealed.step == "sign_in" else None,
        plans=tuple(value) if isinstance(value, Sequence) else None,
        until=value if sealed.step == "wait" and isinstance(value, int) else None,
    )


def _encode_decision(decision: Decision, places: Mapping[str, int]) -> bytes:
    """Return the fields of a `SealedDecision` from `show` on, as JSON without the bracket that opens the array."""
    source, meter = decision.source, decision.meter
    fields = (
        decision.show,
        decision.reason,
        decision.tier,
        [(part, int(opened)) for part, opened in decision.parts],
        [(places.get(name, name), until) for name, until in decision.held],
        SealedSource(source.type, source.id, source.plan, source.until) if source else None,
        SealedMeter(
            meter.name, meter.limit, meter.used, int(meter.seen), int(meter.counted), meter.resets_at, meter.plan
        )
        if meter
        else None,
        decision.refresh_after,
        int(decision.degraded),
        [SealedStep(step.step, step.verified or step.plans or step.until) for step in decision.next],
    )
    return _encode(fields)[1:]


class DecisionIds:
    """Seals answers into IDs and opens them again. `overflow` keeps what is too long for an ID."""

    def __init__(self, sealer: Callable[[], Sealer], catalogue: Catalogue, overflow: DecisionOverflow) -> None:
        self._get_sealer = sealer
        self._revision = catalogue.revision
        self._places = {name: place for place, name in enumerate(catalogue.features)}
        self._overflow = overflow
        self._sealer: Sealer | None = None
        self._making = Lock()

    def seal(self, answer: AccessAnswer) -> str | None:
        """Return the ID of an answer, at most 1,000 characters; `None` where it needs the store, which is unavailable."""
        try:
            # The sealer comes from the store where PAYWALL_SECRETS is not set, so it is not there at construction.
            # To derive its key takes a tenth of a second of a core, so one thread does it.
            with self._making:
                self._sealer = self._sealer or self._get_sealer()
            found = self.seal_locally(answer)
            if found is not None:
                return found
            packed = b"z" + zlib.compress(self._encode(answer), 1)
            return self._sealer.seal(b"e" + self._overflow.save(self._sealer.seal(packed)).encode())
        except StoreUnavailable:
            return None

    def seal_locally(self, answer: AccessAnswer) -> str | None:
        """Return the same ID, or `None` where the store is needed: for the secret, or for an answer that is too long."""
        sealer = self._sealer
        if sealer is None:
            return None
        text = self._encode(answer)
        if len(text) <= _UNCOMPRESSED:
            return sealer.seal(b"j" + text)
        packed = b"z" + zlib.compress(text, 1)
        return sealer.seal(packed) if len(packed) <= _MAX_SEALED else None

    def _encode(self, answer: AccessAnswer) -> bytes:
        """Return an answer's `SealedDecision` as JSON. What many answers share is encoded once."""
        question, shared = answer.question, answer.shared
        sealed = shared.sealed if shared is not None else None
        if sealed is None:
            sealed = _encode_decision(answer.decision, self._places)
            if shared is not None:
                shared.sealed = interned(sealed)
        at = int(answer.at * 1000) / 1000  # rounded, it could be of the next second
        asked = (FORMAT, at, self._revision, question.reader, question.visitor, question.story.id)
        return b"%b,%b" % (_encode(asked)[:-1], sealed)

    def open(self, decision_id: str) -> SealedDecision | None:
        """Return what an ID holds; `None` for one that is not of this service, or expired in the store.

        Raises: StoreUnavailable, if it has to be read from the store.
        """
        sealer = self._get_sealer()
        packed = sealer.open(decision_id) if len(decision_id) <= MAX_LENGTH else None
        if packed is not None and packed[:1] == b"e":
            sealed = self._overflow.load(packed[1:].decode())
            packed = sealer.open(sealed) if sealed is not None else None
        if packed is None:
            return None
        record = _decode(zlib.decompress(packed[1:]) if packed[:1] == b"z" else packed[1:])
        return record if record.format == FORMAT else None

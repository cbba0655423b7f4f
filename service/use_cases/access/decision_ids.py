"""Decision ids: an answer, sealed into its own id, so that it can be told later and a check writes nothing for it.

An id holds who, what, when and the figures, as a compact JSON array, encrypted and authenticated (`sealing`): who has an
id learns nothing from it, and one changed in a single character is none. Features are kept by their place in the
catalogue, which the policy's revision names. An answer too long for an id (many long names) is kept sealed elsewhere for
as long as ids are told, and its id names the place.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from service.adapters.crypto import Sealer
from service.adapters.redis.service_state.decision_records import DecisionOverflow
from service.domain.catalogue import Catalogue
from service.domain.errors import StoreUnavailable
from service.use_cases.access.check import Answer

FORMAT = 1
KEPT = 7 * 86_400
"""Seconds for which an id tells its decision."""
LONGEST = 1_000
_SHORT = 500
_LONGEST_RAW = (LONGEST * 3) // 4 - 29

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list).decode


def figures(answer: Answer, catalogue: Catalogue) -> list[Any]:
    """All that an answer rests on, in the order of `Record`."""
    decision, question = answer.decision, answer.question
    places = {name: place for place, name in enumerate(catalogue.features)}
    source, meter = decision.source, decision.meter
    return [
        FORMAT,
        round(answer.at, 3),
        catalogue.revision,
        question.reader,
        question.visitor,
        question.story.id,
        decision.show,
        decision.reason.value,
        decision.tier,
        [[part, int(opened)] for part, opened in decision.parts],
        [[places.get(name, name), until] for name, until in decision.held],
        [source.type, source.id, source.plan, source.until] if source else None,
        [meter.name, meter.limit, meter.used, int(meter.seen), int(meter.counted), meter.resets_at] if meter else None,
        decision.refresh_after,
        int(decision.degraded),
    ]


class DecisionIds:
    """Seals answers into ids and opens them again."""

    def __init__(self, sealer: Callable[[], Sealer], catalogue: Catalogue, spill: DecisionOverflow) -> None:
        self._sealer = sealer
        self._catalogue = catalogue
        self._spill = spill

    def seal(self, answer: Answer) -> str | None:
        """The id of an answer, at most 1 000 characters; `None` where none can be made while the store is away."""
        text = _encode(figures(answer, self._catalogue))
        try:
            sealer = self._sealer()
            if len(text) <= _SHORT:
                return sealer.seal(b"j" + text)
            packed = b"z" + zlib.compress(text, 1)
            if len(packed) > _LONGEST_RAW:
                packed = b"e" + self._spill.save(sealer.seal(packed)).encode()
            return sealer.seal(packed)
        except StoreUnavailable:
            return None

    def open(self, decision_id: str) -> list[Any] | None:
        """The figures of an id; `None` if it is none of ours, or was kept elsewhere and is gone."""
        packed = self._sealer().open(decision_id) if len(decision_id) <= LONGEST else None
        if packed is not None and packed[:1] == b"e":
            sealed = self._spill.load(packed[1:].decode())
            packed = self._sealer().open(sealed) if sealed is not None else None
        if packed is None:
            return None
        values: list[Any] = _decode(zlib.decompress(packed[1:]) if packed[:1] == b"z" else packed[1:])
        return values if values[0] == FORMAT else None

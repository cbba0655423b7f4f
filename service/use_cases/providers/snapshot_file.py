"""Read a snapshot, `id,reader,plan,until`: all running subscriptions of a provider.

`until` is a date, which means until the end of that day in the site's timezone, a span from now, or a time with an offset. It
can lie in the past. Empty, or `never`, it means: until the subscription is missing from a snapshot.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import msgspec

from service.adapters.redis.client.keys import PROVIDER_PARTITIONS
from service.adapters.redis.providers.provider_sources import partition_of_source
from service.domain import ids
from service.domain.catalogue import Catalogue
from service.domain.typed_times import read_typed_time
from service.use_cases.imports import csv_file
from service.use_cases.imports.csv_file import CsvFormat, ImportSheet, RowMistake
from service.use_cases.imports.pacing import UNPACED, Pace

FORMAT = CsvFormat([("id", "reader", "plan", "until")], most_rows=500_000, most_bytes=64 * 1024 * 1024)
NO_END = ("", "never")


class SnapshotEntry(msgspec.Struct, array_like=True, frozen=True):
    """One valid row; `until` is in epoch seconds."""

    line: int
    id: str
    reader: str
    plan: str
    until: int | None


_encoder = msgspec.msgpack.Encoder()
_decode = msgspec.msgpack.Decoder(list[SnapshotEntry]).decode


class SnapshotSheet(ImportSheet[SnapshotEntry]):
    """The rows of a snapshot by partition of their ID, packed, so that each is compared with the provider's partition."""

    def __init__(self, sheet: ImportSheet[SnapshotEntry]) -> None:
        super().__init__(SnapshotEntry)
        self.mistakes, self.rows = sheet.mistakes, sheet.rows
        self._partitions = [bytearray() for _ in range(PROVIDER_PARTITIONS)]
        self._counts = [0] * PROVIDER_PARTITIONS
        for entries in sheet.batches():
            for entry in entries:
                self.add(entry)

    def add(self, entry: SnapshotEntry) -> None:
        """Add a valid row."""
        partition = partition_of_source(entry.id)
        packed = self._partitions[partition]
        _encoder.encode_into(entry, packed, len(packed))
        self._counts[partition] += 1

    def batches(self) -> Iterator[list[SnapshotEntry]]:
        """Yield the rows of each partition."""
        for count, packed in zip(self._counts, self._partitions, strict=True):
            # The header of a MessagePack array with this many elements.
            yield _decode(b"\xdd" + count.to_bytes(4) + packed)

    def add_duplicates(self, pace: Pace) -> None:
        """Add a mistake for each ID that stands in two lines, up to the most mistakes of a file."""
        for entries in self.batches():
            if len(self.mistakes) >= csv_file.MOST_MISTAKES:
                return
            first_lines: dict[str, int] = {}
            for entry in sorted(entries, key=lambda entry: entry.line):
                if (first := first_lines.setdefault(entry.id, entry.line)) != entry.line:
                    self.mistakes.append(RowMistake(entry.line, "id", f"duplicate of line {first}"))
            pace.step()


def read(body: bytes, catalogue: Catalogue, now: float, pace: Pace = UNPACED) -> SnapshotSheet:
    """Return the sheet in a file's bytes. Raises: `FileTooLarge`."""
    validator = _RowValidator(catalogue, now)
    sheet = SnapshotSheet(csv_file.read(body, FORMAT, SnapshotEntry, lambda _: validator.validate, pace))
    sheet.add_duplicates(pace)
    return sheet


def template(catalogue: Catalogue) -> str:
    """Return a file to start from: the header, and an example row."""
    return f"{','.join(FORMAT.headers[0])}\nexample-1,reader-1,{next(iter(catalogue.plans))},\n"


class _RowValidator:
    """Validates rows; remembers what it found out about plans and ends."""

    def __init__(self, catalogue: Catalogue, now: float) -> None:
        self._catalogue = catalogue
        self._now = now
        self._read_end = lru_cache(10_000)(self._parse_end)

    def validate(self, line: int, cells: list[str]) -> SnapshotEntry | list[RowMistake]:
        """Return the row of a line, or everything that is wrong with it."""
        name, reader, plan, until = cells
        wrong = [("id", ids.wrong_id(name)), ("reader", ids.wrong_reader_id(reader))]
        if plan not in self._catalogue.plans:
            wrong.append(("plan", f"there is no plan {plan[:128]!r}; there are {', '.join(self._catalogue.plans)}"))
        end, wrong_end = self._read_end(until)
        wrong.append(("until", wrong_end))
        found = [RowMistake(line, field, message) for field, message in wrong if message]
        return found or SnapshotEntry(line, name, reader, plan, end)

    def _parse_end(self, text: str) -> tuple[int | None, str | None]:
        """Return the end that a cell names, and what is wrong with it."""
        if text in NO_END:
            return None, None
        try:
            return int(read_typed_time(text, self._now, self._catalogue.zone, is_end=True)), None
        except ValueError as error:
            return None, f"{error}, or be empty"

"""Records in blocks, each with its response: what a selection needs to look at, and no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from longstream.data.containers import Batch, Flaw
from longstream.data.records import Rejected
from longstream.data.shapes import RESPONSE, TEXT, Unusable, decoded, rejected, response_of

BLOCK_BYTES = 1024 * 1024

_BEFORE = {
    name: frozenset({"conversations", *(*RESPONSE, *TEXT)[:place]})
    for place, name in enumerate((*RESPONSE, *TEXT))
}
"""By field: those that would be the response in its place, if a record had them."""

Record = bytes | Mapping[str, Any]
"""JSON as it stood in the file, or the fields of a row."""


def fields_of(record: Record) -> Mapping[str, Any]:
    """A record's fields. Raises Unusable for bytes that are no record."""
    if not isinstance(record, bytes):
        return record
    try:
        fields = orjson.loads(record)
    except ValueError:
        return decoded(record)  # JSON's own reader takes some that orjson does not, as NaN
    return fields if isinstance(fields, dict) else decoded(record)


@dataclass(slots=True)
class Block:
    """Neighbouring records of a source: their responses, their places in the source, and all of each."""

    responses: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    size: int = 0
    """Bytes of the records."""

    def take(self, first: int, records: Sequence[bytes], responses: Sequence[str]) -> None:
        """Neighbouring records from a place on, with their responses."""
        self.responses += responses
        self.places += range(first, first + len(records))
        self.records += records
        self.size += sum(map(len, records))

    def add(self, place: int, record: Record, name: str) -> None:
        """A record whose response is found by the rules of all readers; name: the field it must be, if any."""
        try:
            response = response_of(fields_of(record), name)
        except Unusable as unusable:
            self.rejected.append(rejected(place, unusable.flaw))
            return
        self.responses.append(response)
        self.places.append(place)
        self.records.append(record)


def json_blocks(batches: Iterable[Batch], name: str = "") -> Iterator[Block]:
    """Blocks of about BLOCK_BYTES. name: the response's field; empty for whichever a record has."""
    block, shape = Block(), _Shape(name)
    for first, raws in batches:
        records = _parsed(raws)
        if responses := shape.responses(records):
            assert first is not None  # only where a file broke there is none
            block.take(first, cast(Sequence[bytes], raws), responses)
        else:
            for at, (raw, record) in enumerate(zip(raws, records, strict=True)):
                _take(block, shape, None if first is None else first + at, raw, record)
        if block.size >= BLOCK_BYTES:
            yield block
            block = Block()
    yield block


def _parsed(raws: Sequence[bytes | Flaw]) -> list[Any]:
    """By orjson; None for what it does not read."""
    try:
        return list(map(orjson.loads, raws))  # type: ignore[arg-type]  # it refuses what is a flaw
    except ValueError:
        return [_parsed_alone(raw) for raw in raws]


def _parsed_alone(raw: bytes | Flaw) -> Any:
    try:
        return None if isinstance(raw, Flaw) else orjson.loads(raw)
    except ValueError:
        return None


def _take(block: Block, shape: _Shape, place: int | None, raw: bytes | Flaw, record: Any) -> None:
    """One record as it stood and as it was parsed."""
    if isinstance(raw, Flaw):
        block.rejected.append(rejected(place, raw))
    elif raw:
        assert place is not None
        if response := shape.responses([record]):
            block.take(place, [raw], response)
        else:
            block.size += len(raw)
            block.add(place, raw, shape.name)
            shape.learn(record)


class _Shape:
    """Which field is likely to be the response, as it was the last time that this was not plain."""

    def __init__(self, name: str) -> None:
        """name: the field that it must be, or empty."""
        self.name = name
        self._likely = name or RESPONSE[-1]
        self._before: frozenset[str] = frozenset() if name else _BEFORE[self._likely]

    def responses(self, records: Sequence[Any]) -> list[str]:
        """Of all these records; none at all where one is not plainly right, which the slow rules must decide."""
        try:
            found = [record[self._likely] for record in records]
        except (KeyError, TypeError):
            return []
        plain = (
            set(map(type, found)) == {str}
            and all(found)
            and not any(map(str.isspace, found))
            and all(map(self._before.isdisjoint, records))
        )
        return found if plain else []

    def learn(self, record: Any) -> None:
        """Look at one that was not plain."""
        if not self.name and isinstance(record, dict):
            self._likely = next((field for field in _BEFORE if field in record), self._likely)
            self._before = _BEFORE[self._likely]


def row_blocks(rows: Iterable[tuple[int, Mapping[str, Any] | Flaw, int]], name: str = "") -> Iterator[Block]:
    """The same from a table's rows, each with its size in bytes."""
    block = Block()
    for place, row, size in rows:
        block.size += size
        if isinstance(row, Flaw):
            block.rejected.append(rejected(place, row))
        else:
            block.add(place, row, name)
        if block.size >= BLOCK_BYTES:
            yield block
            block = Block()
    yield block

"""Records in blocks, each with its response: what a selection needs to look at, and no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from longstream.data.containers import Flaw
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


def json_blocks(records: Iterable[tuple[int | None, bytes | Flaw]], name: str = "") -> Iterator[Block]:
    """Blocks of about BLOCK_BYTES. name: the response's field; empty for whichever a record has.

    A record is parsed by orjson and its likeliest field looked at; what is not plainly right goes by the slow rules.
    """
    block, likely = Block(), name or RESPONSE[-1]
    before: frozenset[str] = frozenset() if name else _BEFORE[likely]
    responses, places, raws = block.responses, block.places, block.records
    for place, raw in records:
        if not isinstance(raw, bytes):
            block.rejected.append(rejected(place, raw))
            continue
        assert place is not None  # only where a file broke there is none
        record = None
        try:
            record = orjson.loads(raw)
            response = record[likely]
            plain = (
                type(response) is str and before.isdisjoint(record) and not response.isspace() and response
            )
        except (ValueError, KeyError, TypeError, IndexError):
            plain = False
        if plain:
            responses.append(response)
            places.append(place)
            raws.append(raw)
        else:
            block.add(place, raw, name)
            if not name and isinstance(record, dict):
                likely = next((field for field in _BEFORE if field in record), likely)
                before = _BEFORE[likely]
        block.size += len(raw)
        if block.size >= BLOCK_BYTES:
            yield block
            block = Block()
            responses, places, raws = block.responses, block.places, block.records
    yield block


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

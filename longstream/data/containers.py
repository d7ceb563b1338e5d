"""Cuts a stream of bytes into records without holding more than one of them: JSON arrays and JSON lines.

A record that is too large or cut off becomes a Flaw, and reading goes on behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedIOBase, BytesIO

from longstream.errors import InvalidInput

CHUNK_BYTES = 256 * 1024

_BOM = b"\xef\xbb\xbf"
_STRING = re.compile(rb'["\\]')
_NESTED = re.compile(rb'["{}\[\]]')
_BETWEEN = re.compile(rb'["{}\[\],]')


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why there is no record at this place; the reasons are those of `longstream.data.records`."""

    reason: str
    message: str


Batch = tuple[int | None, Sequence[bytes | Flaw]]
"""Records side by side with the place of the first, if it has one; those that are blank are none."""


def array_records(file: BufferedIOBase, max_bytes: int) -> Iterator[tuple[int, bytes | Flaw]]:
    """The elements of a JSON array with their index, as the bytes between its commas.

    Raises InvalidInput if the file does not begin with an array.
    """
    return _one_by_one(array_batches(file, max_bytes))


def line_records(file: BufferedIOBase, max_bytes: int) -> Iterator[tuple[int, bytes | Flaw]]:
    """The lines that are not blank, with their number counted from 0."""
    return _one_by_one(line_batches(file, max_bytes))


def array_batches(file: BufferedIOBase, max_bytes: int) -> Iterator[tuple[int, Sequence[bytes | Flaw]]]:
    """The same as `array_records`, those together that one reading brought."""
    splitter = _ArraySplitter(max_bytes)
    index = 0
    while not splitter.done:
        chunk = file.read(CHUNK_BYTES)
        records = list(splitter.feed(chunk) if chunk else splitter.end())
        yield index, records
        index += len(records)


def line_batches(file: BufferedIOBase, max_bytes: int) -> Iterator[tuple[int, Sequence[bytes | Flaw]]]:
    """The same as `line_records`, those together that one reading brought, and what is empty for blank lines."""
    number, begun, size = 0, list[bytes](), 0  # begun: parts of a line that is not yet read to its end
    while chunk := file.read1(CHUNK_BYTES):
        lines = BytesIO(chunk).readlines()  # bytes.split takes thrice as long
        begun.append(lines[0])
        size += len(lines[0])
        if chunk.endswith(b"\n"):
            lines.append(b"")
        if len(lines) > 1:
            lines[0], begun = b"".join(begun), [lines.pop()]
            yield number, _stripped(lines, size, max_bytes)
            number, size = number + len(lines), len(begun[0])
        if size > max_bytes:
            begun.clear()  # all that is to be told is its size
    yield number, _stripped([b"".join(begun)], size, max_bytes)


def _stripped(lines: Sequence[bytes], first: int, max_bytes: int) -> Sequence[bytes | Flaw]:
    """first: bytes of the first line, of which no more is there if it has too many. A line's end is none of it."""
    sizes = [first, *map(len, lines[1:])]
    if max(sizes) <= max_bytes:
        return [line.removeprefix(_BOM).strip() for line in lines]
    return [
        line.removeprefix(_BOM).strip() if size - line.endswith(b"\n") <= max_bytes else _too_large(max_bytes)
        for line, size in zip(lines, sizes, strict=True)
    ]


def _one_by_one(
    batches: Iterable[tuple[int, Sequence[bytes | Flaw]]],
) -> Iterator[tuple[int, bytes | Flaw]]:
    for first, records in batches:
        for place, record in enumerate(records, first):
            if record:
                yield place, record


class _ArraySplitter:
    """Follows strings and brackets only; whether an element is JSON is its parser's concern."""

    def __init__(self, max_bytes: int) -> None:
        self.done = False
        self._max_bytes = max_bytes
        self._depth = 0
        self._in_string = False
        self._skip = 0  # bytes of the next chunk that a backslash at this one's end escapes
        self._record = bytearray()
        self._dropped = False

    def feed(self, chunk: bytes) -> Iterator[bytes | Flaw]:
        """The records that end in this chunk."""
        start = at = self._skip if self._depth else self._open(chunk)
        if self._skip:
            self._keep(chunk[:at])
            self._skip = 0
        while not self.done and (match := self._pattern().search(chunk, at)):
            at = match.end()
            mark = match.group()
            if mark == b"\\":
                at += 1
                self._skip = max(0, at - len(chunk))
            elif mark == b'"':
                self._in_string = not self._in_string
            elif self._ends_record(mark):
                self._keep(chunk[start : at - 1])
                start = at
                yield from self._take(last=mark != b",")
        if self.done:
            yield from _behind(chunk[start:])
        else:
            self._keep(chunk[start:])

    def end(self) -> Iterator[bytes | Flaw]:
        """What is to be told of a file that ends before its array does."""
        self.done = True
        if not self._depth:
            raise InvalidInput("the file is empty; a JSON array of records is due")
        yield Flaw("truncated", "the file ends inside its array; what came before has been read")

    def _open(self, chunk: bytes) -> int:
        """Where the first element begins."""
        text = chunk.removeprefix(b"\xef\xbb\xbf")
        at = len(chunk) - len(text.lstrip())
        if not text.lstrip().startswith(b"["):
            raise InvalidInput("the file is no JSON array; one object per line is format jsonl")
        self._depth = 1
        return at + 1

    def _pattern(self) -> re.Pattern[bytes]:
        if self._in_string:
            return _STRING
        return _BETWEEN if self._depth == 1 else _NESTED

    def _ends_record(self, mark: bytes) -> bool:
        if mark in b"{[":
            self._depth += 1
            return False
        if mark in b"}]":
            self._depth -= 1
            self.done = self._depth == 0
            return self.done
        return True

    def _keep(self, part: bytes) -> None:
        if len(self._record) + len(part) > self._max_bytes:
            self._dropped = True
            self._record.clear()
        if not self._dropped:
            self._record += part

    def _take(self, last: bool) -> Iterator[bytes | Flaw]:
        record, dropped = bytes(self._record).strip(), self._dropped
        self._record.clear()
        self._dropped = False
        if dropped:
            yield _too_large(self._max_bytes)
        elif record:
            yield record
        elif not last:
            yield Flaw("malformed", "there is nothing between two commas")


def _behind(rest: bytes) -> Iterator[Flaw]:
    if rest.strip():
        yield Flaw("malformed", "the file goes on behind the end of its array; the rest was not read")


def _too_large(max_bytes: int) -> Flaw:
    return Flaw("too_large", f"the record is over {max_bytes:,} bytes")

"""Cuts a stream of bytes into records without holding more than one of them: JSON arrays and JSON lines.

A record that is too large or cut off becomes a Flaw, and reading goes on behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from longstream.errors import InvalidInput

CHUNK_BYTES = 256 * 1024

_STRING = re.compile(rb'["\\]')
_NESTED = re.compile(rb'["{}\[\]]')
_BETWEEN = re.compile(rb'["{}\[\],]')


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why there is no record at this place; the reasons are those of `longstream.data.records`."""

    reason: str
    message: str


def array_records(file: BinaryIO, max_bytes: int) -> Iterator[tuple[int, bytes | Flaw]]:
    """The elements of a JSON array with their index, as the bytes between its commas.

    Raises InvalidInput if the file does not begin with an array.
    """
    splitter = _ArraySplitter(max_bytes)
    index = 0
    while not splitter.done:
        chunk = file.read(CHUNK_BYTES)
        for record in splitter.feed(chunk) if chunk else splitter.end():
            yield index, record
            index += 1


def line_records(file: BinaryIO, max_bytes: int) -> Iterator[tuple[int, bytes | Flaw]]:
    """The lines that are not blank, with their number counted from 0."""
    number = 0
    while line := file.readline(max_bytes + 1):
        if len(line) > max_bytes and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = file.readline(CHUNK_BYTES)
            yield number, _too_large(max_bytes)
        elif record := line.removeprefix(b"\xef\xbb\xbf").strip():
            yield number, record
        number += 1


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

"""Cutting files into records: nothing is lost at a chunk's edge, and no record is held beyond its limit."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longstream.data.containers import CHUNK_BYTES, Flaw, array_records, line_records
from longstream.errors import InvalidInput

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab"\\{}[],: é', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


class Dripping(io.RawIOBase):
    """A file that gives a few bytes at a time, whatever is asked for."""

    def __init__(self, data: bytes, portion: int) -> None:
        self._rest = data
        self._portion = portion

    def read(self, size: int = -1) -> bytes:
        part, self._rest = self._rest[: self._portion], self._rest[self._portion :]
        return part


def array(data: bytes, portion: int = 1 << 20, limit: int = 1 << 20) -> list[bytes | Flaw]:
    return [record for _, record in array_records(Dripping(data, portion), limit)]  # type: ignore[arg-type]


def reasons(records: list[bytes | Flaw]) -> list[str]:
    return [record.reason if isinstance(record, Flaw) else "" for record in records]


@given(st.lists(JSON, max_size=6), st.integers(1, 7), st.booleans(), st.booleans())
def test_an_array_is_split_as_a_parser_would_wherever_chunks_end(
    values: list[Any], portion: int, indented: bool, escaped: bool
) -> None:
    text = json.dumps(values, indent=1 if indented else None, ensure_ascii=escaped)
    records = array(text.encode("utf-8", "surrogatepass"), portion)
    assert [json.loads(record) for record in records if isinstance(record, bytes)] == values
    assert len(records) == len(values)


def test_indexes_count_flawed_records_too() -> None:
    records = list(array_records(io.BytesIO(b'[1, "' + b"x" * 50 + b'", 3]'), 20))
    assert [(index, isinstance(record, Flaw)) for index, record in records] == [
        (0, False),
        (1, True),
        (2, False),
    ]


def test_a_record_over_the_limit_is_dropped_and_the_next_one_read() -> None:
    huge = json.dumps({"text": 'quoted " and \\ back' * 40}).encode()
    records = array(b"[1," + huge + b",2]", portion=7, limit=100)
    assert reasons(records) == ["", "too_large", ""]
    assert records[2] == b"2"


def test_a_huge_record_is_never_held() -> None:
    class Endless(io.RawIOBase):
        """An array with a string of 64 MB, made as it is read."""

        def __init__(self) -> None:
            self._parts: Iterator[bytes] = iter([b'["', *[b"x" * CHUNK_BYTES] * 256, b'", 7]'])

        def read(self, size: int = -1) -> bytes:
            return next(self._parts, b"")

    tracemalloc.start()
    records = [record for _, record in array_records(Endless(), 1 << 20)]  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reasons(records) == ["too_large", ""]
    assert peak < 8 << 20


@pytest.mark.parametrize("data", [b'[{"a": 1}, {"b', b"[1, 2", b'["never closed]', b"["])
def test_a_file_that_ends_inside_its_array_says_so(data: bytes) -> None:
    assert reasons(array(data))[-1] == "truncated"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"[]", []),
        (b" [ ] ", []),
        (b"\xef\xbb\xbf[1]", [""]),
        (b"[1,,2]", ["", "malformed", ""]),
        (b"[1,]", [""]),
        (b"[1] [2]", ["", "malformed"]),
    ],
)
def test_odd_arrays(data: bytes, expected: list[str]) -> None:
    assert reasons(array(data)) == expected


@pytest.mark.parametrize("data", [b"", b"  ", b'{"a": 1}', b"plain text"])
def test_what_is_no_array_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        array(data)


@given(st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=8))
def test_lines_come_with_their_numbers_and_blank_ones_are_passed_over(lines: list[bytes]) -> None:
    records = list(line_records(io.BytesIO(b"\n".join(lines)), 100))
    stripped = [line.removeprefix(b"\xef\xbb\xbf").strip() for line in lines]
    assert records == [(number, line) for number, line in enumerate(stripped) if line]


@settings(max_examples=300)
@given(
    lines=st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line), max_size=8),
    portion=st.integers(1, 12),
    limit=st.integers(0, 12),
)
def test_lines_do_not_depend_on_how_they_are_read(lines: list[bytes], portion: int, limit: int) -> None:
    """As from a pipe, which gives what it has."""

    class Pipe(io.BytesIO):
        def read1(self, size: int | None = -1) -> bytes:
            return super().read1(portion)

    records = list(line_records(Pipe(b"\n".join(lines)), limit))
    stripped = [(number, line.removeprefix(b"\xef\xbb\xbf").strip()) for number, line in enumerate(lines)]
    expected = [(n, "too_large" if len(lines[n]) > limit else line) for n, line in stripped]
    found = [(n, record.reason if isinstance(record, Flaw) else record) for n, record in records]
    assert found == [(n, record) for n, record in expected if record]


def test_a_line_over_the_limit_is_dropped_and_the_next_one_read() -> None:
    data = b"a\n" + b"x" * (CHUNK_BYTES + 50) + b"\nb\n" + b"y" * 11
    records = list(line_records(io.BytesIO(data), 10))
    assert [(number, reasons([record])) for number, record in records] == [
        (0, [""]),
        (1, ["too_large"]),
        (2, [""]),
        (3, ["too_large"]),
    ]


def test_a_line_of_exactly_the_limit_is_read() -> None:
    assert list(line_records(io.BytesIO(b"x" * 10 + b"\n" + b"y" * 10), 10)) == [
        (0, b"x" * 10),
        (1, b"y" * 10),
    ]

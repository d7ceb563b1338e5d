"""The files to choose from: paths, globs and standard input; JSON lines, JSON arrays and Parquet; gzip and zstd."""

from __future__ import annotations

import glob
import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import pyarrow as pa
import pyarrow.parquet as pq

from longstream.data.containers import Flaw, array_records, line_records
from longstream.data.records import ReadLimits
from longstream.errors import InvalidInput, NotFound
from longstream_curator.files.blocks import Block, json_blocks, row_blocks

STDIN = "-"
_BUFFER_BYTES = 1024 * 1024
_PIECE_BYTES = 16 * 1024
_ROWS = 1_024
_FORMS: Mapping[str, Literal["lines", "array", "rows"]] = {
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".json": "array",
    ".parquet": "rows",
}
_COMPRESSED = (".gz", ".zst")
_BROKEN = "the file is broken here; what came before has been read"


@dataclass(frozen=True, slots=True)
class Source:
    """One input. form: how its records are laid out; size: its bytes, 0 where nobody can know."""

    path: str
    form: Literal["lines", "array", "rows"]
    size: int

    def blocks(self, field: str, at: Callable[[int], None]) -> Iterator[Block]:
        """Its records. field: the response's, or empty; at: told how many bytes of the file have been read."""
        if self.form == "rows":
            yield from row_blocks(_rows(Path(self.path), at), field)
            return
        with _opened(self.path, at) as file:
            cut = line_records if self.form == "lines" else array_records
            yield from json_blocks(_to_the_end(cut(file, ReadLimits().max_record_bytes)), field)


def sources(patterns: Sequence[str]) -> list[Source]:
    """The inputs in the order that they were named, those of a glob by name; no file twice.

    Raises NotFound for a path or pattern without a file, InvalidInput for an ending that tells no format.
    """
    found: dict[str, Source] = {}
    for pattern in patterns:
        if pattern == STDIN:
            found.setdefault(STDIN, Source(STDIN, "lines", 0))
            continue
        paths = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern, recursive=True))
        if not paths:
            raise NotFound(f"there is no file {pattern}", field="INPUT")
        for path in paths:
            found.setdefault(str(Path(path).resolve()), _source(Path(path)))
    return list(found.values())


def _source(path: Path) -> Source:
    form = _FORMS.get(_plain(path).suffix.lower())
    if form is None or (form == "rows" and path.suffix in _COMPRESSED):
        endings = ", ".join(_FORMS)
        raise InvalidInput(
            f"the ending of {path.name} is none of {endings} (JSON also with .gz or .zst)", field="INPUT"
        )
    if not path.is_file():
        raise InvalidInput(f"{path} is no file", field="INPUT")
    return Source(str(path), form, path.stat().st_size)


def _plain(path: Path) -> Path:
    return path.with_suffix("") if path.suffix in _COMPRESSED else path


def _opened(path: str, at: Callable[[int], None]) -> BinaryIO:
    if path == STDIN:
        return cast(BinaryIO, io.BufferedReader(_Told(sys.stdin.buffer, at), _BUFFER_BYTES))
    raw = _Told(Path(path).open("rb", buffering=0), at)  # noqa: SIM115 - whoever gets the reader closes it
    if path.endswith(".gz"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=cast(BinaryIO, raw)))
    if path.endswith(".zst"):
        stream = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
        # A broken file costs what one reading would have brought.
        return cast(BinaryIO, io.BufferedReader(stream, _PIECE_BYTES))
    return cast(BinaryIO, io.BufferedReader(raw, _BUFFER_BYTES))


class _Told(io.RawIOBase):
    """A file that tells how far it has been read."""

    def __init__(self, file: BinaryIO, at: Callable[[int], None]) -> None:
        self._file = file
        self._at = at
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._read += len(data)
        self._at(self._read)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _to_the_end(records: Iterator[tuple[int, bytes | Flaw]]) -> Iterator[tuple[int, bytes | Flaw]]:
    """A file that breaks while it is read ends with a flaw that says so."""
    last = -1
    try:
        for last, record in records:
            yield last, record
    except (EOFError, zlib.error, gzip.BadGzipFile):
        yield last + 1, Flaw("truncated", _BROKEN)
    except OSError as error:
        yield last + 1, Flaw("unreadable", f"reading broke off: {error.strerror or error}")


def _rows(path: Path, at: Callable[[int], None]) -> Iterator[tuple[int, Mapping[str, Any] | Flaw, int]]:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{path} is no Parquet file: {error}", field="INPUT") from None
    place = 0
    share = path.stat().st_size / max(1, file.metadata.num_rows)
    with file:
        try:
            for batch in file.iter_batches(batch_size=_ROWS):
                size = batch.nbytes // max(1, batch.num_rows)
                for row in _values(batch):
                    yield place, row, size
                    place += 1
                at(int(place * share))
        except (pa.ArrowException, OSError):
            yield place, Flaw("truncated", _BROKEN), 0


def _values(batch: pa.RecordBatch) -> Iterator[Mapping[str, Any] | Flaw]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:  # some row's text is not UTF-8: one by one, to find which
        for offset in range(batch.num_rows):
            try:
                yield batch.slice(offset, 1).to_pylist()[0]
            except UnicodeDecodeError:
                yield Flaw("invalid_utf8", "a text of the row is not UTF-8")

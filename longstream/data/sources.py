"""One door to the field's formats: a path becomes a stream of documents, pairs and rejected records."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, cast

from longstream.data.containers import Flaw, array_records, line_records
from longstream.data.folder import SUFFIXES, file_item, folder_items
from longstream.data.records import Item, Origin, ReadLimits
from longstream.data.shapes import Reading, Shape, rejected
from longstream.errors import InvalidInput, NotFound

FORMATS = {
    "alpaca": "a JSON array of objects with instruction, input and output",
    "conversations": "a JSON array of objects with one human and one gpt turn",
    "jsonl": "one JSON object per line: instruction and output, conversations, or text",
    "parquet": "the same fields as columns",
    "text": "a folder of text and Markdown files, or one of them",
}

_Form = Literal["array", "jsonl", "parquet", "text"]
_BY_SUFFIX: dict[str, _Form] = {
    ".json": "array",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    **dict.fromkeys(SUFFIXES, "text"),
}
_SHAPES: dict[str, Shape] = {"alpaca": "alpaca", "conversations": "conversations"}
_DEFAULT_LIMITS = ReadLimits()
_DEFAULT_ORIGIN = Origin()


def open_source(
    path: Path,
    format: str = "auto",
    limits: ReadLimits = _DEFAULT_LIMITS,
    origin: Origin = _DEFAULT_ORIGIN,
) -> Iterator[Item]:
    """Read records one by one in bounded memory; what cannot be used comes out as Rejected, in its place.

    format: a key of FORMATS, or auto to go by the path's ending. JSON may be compressed by gzip (.gz).
    Raises NotFound for a path that does not exist, InvalidInput for an unknown format or, when the first
    record is asked for, a file of another format.
    """
    if not path.exists():
        raise NotFound(f"there is no file or folder {path}", field="path")
    form = _form(path, format)
    named = Origin(source=origin.source or _stem(path), licence=origin.licence)
    if form == "text":
        items = (
            folder_items(path, named, limits)
            if path.is_dir()
            else iter([file_item(path, path.name, named, limits)])
        )
        return _to_the_end(items)
    reading = Reading(origin=named, limits=limits, shape=_SHAPES.get(format, "any"), file=path.name)
    return _to_the_end(_file_items(path, form, reading))


def _form(path: Path, format: str) -> _Form:
    """How the file is laid out. Raises InvalidInput with what is known."""
    known = "; ".join(f"{name}: {meaning}" for name, meaning in FORMATS.items())
    if format != "auto":
        if format not in FORMATS:
            raise InvalidInput(f"there is no format {format!r}. Known are {known}", field="format")
        form = cast(_Form, "array" if format in _SHAPES else format)
    elif path.is_dir():
        form = "text"
    elif (suffix := _plain(path).suffix.lower()) in _BY_SUFFIX:
        form = _BY_SUFFIX[suffix]
    else:
        raise InvalidInput(f"the ending of {path.name} tells no format. Known are {known}", field="format")
    if path.is_dir() and form != "text":
        raise InvalidInput(f"{path} is a folder; format {format} is a file", field="path")
    if not path.is_dir() and not path.is_file():
        raise InvalidInput(f"{path} is neither a file nor a folder", field="path")
    return form


def _plain(path: Path) -> Path:
    """The path without the ending of a compressed file."""
    return path.with_suffix("") if path.suffix == ".gz" else path


def _stem(path: Path) -> str:
    return path.resolve().name if path.is_dir() else _plain(path).stem


def _file_items(path: Path, form: _Form, reading: Reading) -> Iterator[Item]:
    if form == "parquet":
        # Arrow takes long to import and only this format needs it.
        from longstream.data.parquet import parquet_items

        yield from parquet_items(path, reading)
        return
    records = array_records if form == "array" else line_records
    with _open(path) as file:
        for index, raw in records(file, reading.limits.max_record_bytes):
            yield reading.parse(index, raw)


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _to_the_end(items: Iterator[Item]) -> Iterator[Item]:
    """A file or folder that breaks while it is read ends with a rejection that says so."""
    try:
        yield from items
    except (EOFError, zlib.error, gzip.BadGzipFile):
        yield rejected(None, Flaw("truncated", "the file is broken here; what came before has been read"))
    except OSError as error:
        yield rejected(None, Flaw("unreadable", f"reading broke off: {error.strerror or error}"))

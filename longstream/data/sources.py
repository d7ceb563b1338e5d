"""One door to the field's formats: a path becomes a stream of documents, pairs and rejected records."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, cast

from longstream.data.containers import array_records, line_records
from longstream.data.corpora.corrections import correction_items
from longstream.data.corpora.mail import mail_items
from longstream.data.corpora.mediawiki import mediawiki_items
from longstream.data.corpora.stackexchange import stackexchange_items
from longstream.data.corpora.tasks import bigbench_items, niv2_items
from longstream.data.corpora.wikihow import wikihow_items
from longstream.data.folder import SUFFIXES, file_item, folder_items
from longstream.data.opening import opened, plain, until_broken
from longstream.data.records import Item, Origin, ReadLimits
from longstream.data.shapes import Reading, Shape, rejected
from longstream.errors import InvalidInput, NotFound

FORMATS = {
    "alpaca": "a JSON array of objects with instruction, input and output",
    "conversations": "a JSON array of objects with one human and one gpt turn",
    "jsonl": "one JSON object per line: instruction and output, conversations, or text",
    "parquet": "the same fields as columns",
    "text": "a folder of text, Markdown and HTML files, or one of them",
    "mail": "an mbox file, or a folder of messages such as a maildir; the subject asks for the body",
    "mediawiki": "a dump of a wiki in XML, or an extract of one with <doc> around each page",
    "stackexchange": "Posts.xml of a Stack Exchange dump, or the folder of its site; the best answer answers",
    "wikihow": "how-to articles as JSON with title, introduction, methods and steps",
    "niv2": "a task of Super-NaturalInstructions, or a folder of them",
    "bigbench": "a task.json of BIG-bench, or a folder of tasks",
    "corrections": "learners' texts with corrections: BEA-2019's JSON, or M2",
}

Form = Literal["array", "jsonl", "parquet", "text"]
Corpus = Callable[[Path, Origin, ReadLimits], Iterator[Item]]
CORPORA: Mapping[str, Corpus] = {
    "mail": mail_items,
    "mediawiki": mediawiki_items,
    "stackexchange": stackexchange_items,
    "wikihow": wikihow_items,
    "niv2": niv2_items,
    "bigbench": bigbench_items,
    "corrections": correction_items,
}
_FOLDERS = frozenset({"text", "mail", "stackexchange", "niv2", "bigbench"})
"""Formats that a folder may be of."""
RECORDS_BY_SUFFIX: Mapping[str, Form] = {
    ".json": "array",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}
_BY_SUFFIX: Mapping[str, str] = {
    **RECORDS_BY_SUFFIX,
    **dict.fromkeys(SUFFIXES, "text"),
    **dict.fromkeys((".mbox", ".eml"), "mail"),
    ".m2": "corrections",
}
_XML = {b"<mediawiki": "mediawiki", b"<posts>": "stackexchange", b"<doc ": "mediawiki"}
_XML_HEAD_BYTES = 2_000
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

    format: a key of FORMATS, or auto to go by the path's ending, and by the first tag of XML.
    Raises NotFound for a path that does not exist, InvalidInput for an unknown format or, when the first
    record is asked for, a file of another format.
    JSON and XML may be compressed, by gzip (.gz), bzip2 (.bz2) or zstd (.zst).
    """
    if not path.exists():
        raise NotFound(f"there is no file or folder {path}", field="path")
    form = _form(path, format)
    named = replace(origin, source=origin.source or _stem(path))
    if form in CORPORA:
        return until_broken(CORPORA[form](path, named, limits), partial(rejected, None))
    if form == "text":
        items = (
            folder_items(path, named, limits)
            if path.is_dir()
            else iter([file_item(path, path.name, named, limits)])
        )
        return until_broken(items, partial(rejected, None))
    reading = Reading(origin=named, limits=limits, shape=_SHAPES.get(format, "any"), file=path.name)
    return until_broken(_file_items(path, cast(Form, form), reading), partial(rejected, None))


def _form(path: Path, format: str) -> str:
    """How the file is laid out. Raises InvalidInput with what is known."""
    known = "; ".join(f"{name}: {meaning}" for name, meaning in FORMATS.items())
    if format != "auto":
        if format not in FORMATS:
            raise InvalidInput(f"there is no format {format!r}. Known are {known}", field="format")
        form = "array" if format in _SHAPES else format
    elif path.is_dir():
        form = "text"
    elif (suffix := plain(path).suffix.lower()) in _BY_SUFFIX:
        form = _BY_SUFFIX[suffix]
    elif suffix == ".xml" and (kind := _xml_kind(path)):
        form = kind
    else:
        raise InvalidInput(f"the ending of {path.name} tells no format. Known are {known}", field="format")
    if path.is_dir() and form not in _FOLDERS:
        raise InvalidInput(f"{path} is a folder; format {format} is a file", field="path")
    if not path.is_dir() and not path.is_file():
        raise InvalidInput(f"{path} is neither a file nor a folder", field="path")
    return form


def _xml_kind(path: Path) -> str:
    try:
        with opened(path) as file:
            head = file.read(_XML_HEAD_BYTES)
    except (EOFError, zlib.error, OSError):
        raise InvalidInput(
            f"{path.name} is broken at its beginning; --format reads what there is", field="path"
        ) from None
    return next((kind for tag, kind in _XML.items() if tag in head), "")


def _stem(path: Path) -> str:
    return path.resolve().name if path.is_dir() else plain(path).stem


def _file_items(path: Path, form: Form, reading: Reading) -> Iterator[Item]:
    if form == "parquet":
        # Arrow takes long to import and only this format needs it.
        from longstream.data.parquet import parquet_items

        yield from parquet_items(path, reading)
        return
    records = array_records if form == "array" else line_records
    with opened(path) as file:
        for index, raw in records(file, reading.limits.max_record_bytes):
            yield reading.parse(index, raw)

"""Documents from a folder of text, Markdown and HTML files, or from one such file: a file is a document."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from longstream.data.containers import Flaw
from longstream.data.corpora.pages import SUFFIXES as PAGES
from longstream.data.corpora.pages import page_text
from longstream.data.records import Document, Origin, ReadLimits, Rejected
from longstream.data.shapes import Unusable, rejected
from longstream.errors import InvalidInput

SUFFIXES = (".txt", ".md", ".markdown", *PAGES)
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def folder_items(root: Path, origin: Origin, limits: ReadLimits) -> Iterator[Document | Rejected]:
    """Every text below root, in the order of names; hidden files and folders are passed over.

    A folder has no order of its own, so its documents have no source index: a file that is added later leaves
    the ids of the others as they are. Linked folders are not entered; a linked file must lie within root.
    """
    for name, raw in folder_contents(root, limits.max_document_bytes, SUFFIXES):
        yield _item(name, raw, origin)


def file_item(path: Path, name: str, origin: Origin, limits: ReadLimits) -> Document | Rejected:
    """One file as a document, under that name."""
    return _item(name, _content(path, name, limits.max_document_bytes), origin)


def folder_contents(
    root: Path, max_bytes: int, suffixes: tuple[str, ...] = ()
) -> Iterator[tuple[str, bytes | Flaw]]:
    """Names and contents of the files below root that end in one of suffixes, or of all; as `folder_items` goes."""
    real_root = os.path.realpath(root)
    for path in _files(root, suffixes):
        name = _name(path.relative_to(root))
        target = Path(os.path.realpath(path))
        if target.is_relative_to(real_root):
            yield name, _content(target, name, max_bytes)
        else:
            yield name, Flaw("outside_folder", f"{name} links to a file outside the folder")


def _content(path: Path, name: str, max_bytes: int) -> bytes | Flaw:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return Flaw("unreadable", f"{name} is no readable file")
        with path.open("rb") as file:
            raw = file.read(max_bytes + 1)
    except OSError as error:
        return Flaw("unreadable", f"{name}: {error.strerror}")
    return raw if len(raw) <= max_bytes else Flaw("too_large", f"{name} is over {max_bytes:,} bytes")


def _item(name: str, raw: bytes | Flaw, origin: Origin) -> Document | Rejected:
    if isinstance(raw, Flaw):
        return rejected(None, raw)
    try:
        text = page_text(raw) if name.lower().endswith(PAGES) else _decoded(raw, origin.encoding)
    except Unusable as unusable:
        return rejected(None, Flaw(unusable.flaw.reason, f"{name} {unusable.flaw.message}"))
    if not text.strip():
        return rejected(None, Flaw("empty", f"{name} is empty"))
    return Document(
        text=text,
        source=origin.source,
        external_id=name,
        licence=origin.licence,
        provenance={"file": name},
    )


def _decoded(raw: bytes, encoding: str) -> str:
    marked = next((encoding for mark, encoding in _MARKS if raw.startswith(mark)), None)
    for tried in [marked] if marked else ["utf-8", encoding]:
        try:
            return raw.decode(tried)
        except UnicodeError:
            continue
        except LookupError:
            raise InvalidInput(f"there is no encoding {tried!r}", field="encoding") from None
    raise Unusable("invalid_utf8", f"is not {marked or 'UTF-8'}; --encoding names another one")


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        yield folder  # to be told as unreadable, in its place
        return
    for entry in ordered:
        if entry.name.startswith("."):
            continue
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _files(path, suffixes)
        elif not suffixes or path.suffix.lower() in suffixes:
            yield path


def _name(path: Path) -> str:
    """The path as text that can be stored, whatever bytes a file name holds."""
    return os.fsencode(path.as_posix()).decode("utf-8", "replace")

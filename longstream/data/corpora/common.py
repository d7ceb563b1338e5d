"""What readers of corpora share: limits of what they yield, packages that only they need, JSON of either kind."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from longstream.data.containers import Flaw, array_records, line_records
from longstream.data.opening import opened
from longstream.data.records import Document, Pair, ReadLimits
from longstream.data.shapes import Unusable
from longstream.errors import InvalidInput

D = TypeVar("D", Document, Pair)


def checked(item: D, limits: ReadLimits) -> D:
    """The item, if all of its texts say something, are text and are not too long. Raises Unusable."""
    texts = (
        {"text": item.text}
        if isinstance(item, Document)
        else {"instruction": item.instruction, "input": item.input, "response": item.response}
    )
    for name, text in texts.items():
        if name != "input" and not text.strip():
            raise Unusable("empty", f"its {name} is empty")
    try:
        size = sum(len(text.encode()) for text in texts.values())
    except UnicodeEncodeError:
        raise Unusable("invalid_utf8", "it holds half of a surrogate pair") from None
    if size > limits.max_document_bytes:
        raise Unusable("too_large", f"its texts are {size:,} bytes; {limits.max_document_bytes:,} at most")
    return item


def wanted(package: str) -> ModuleType:
    """A package that only readers of corpora need. Raises InvalidInput that says how to get it."""
    try:
        return import_module(package)
    except ImportError:
        raise InvalidInput(
            f'this format needs the package {package}: pip install "longstream[corpora]"', field="format"
        ) from None


def json_records(path: Path, limits: ReadLimits) -> Iterator[tuple[int, bytes | Flaw]]:
    """The records of a JSON array or of JSON lines, told apart by the first sign."""
    with opened(path) as file:
        start = file.peek(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] if hasattr(file, "peek") else b""
        records = array_records if start == b"[" else line_records
        yield from records(file, limits.max_record_bytes)


def files_below(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The file itself, or all below a folder that end so, in the order of their names; hidden ones are passed over."""
    if not path.is_dir():
        return [path]
    found = [file for file in path.rglob("*") if file.name.lower().endswith(suffixes) and file.is_file()]
    inside = [
        file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    return sorted(file for file in inside if file.resolve().is_relative_to(path.resolve()))

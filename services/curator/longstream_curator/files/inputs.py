"""The files to choose from: paths, globs and standard input; JSON lines, JSON arrays, Parquet; compressed."""

from __future__ import annotations

import glob
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from longstream.data.containers import Batch, array_batches, line_batches
from longstream.data.opening import COMPRESSED, Told, opened, plain, unpacked, until_broken
from longstream.data.records import ReadLimits
from longstream.data.sources import RECORDS_BY_SUFFIX, Form
from longstream.errors import InvalidInput, NotFound
from longstream_curator.files.blocks import Block, json_blocks, row_blocks

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """One input. size: its bytes, 0 where nobody can know."""

    path: str
    form: Form
    size: int

    def blocks(self, field: str, at: Callable[[int], None]) -> Iterator[Block]:
        """Its records. field: the response's, or empty; at: told how many bytes of the file have been read."""
        if self.form == "parquet":
            # Arrow takes long to import and only this format needs it.
            from longstream.data.parquet import table_rows

            yield from row_blocks(table_rows(Path(self.path), at=at), field)
            return
        cut = line_batches if self.form == "jsonl" else array_batches
        with (
            unpacked(Told(sys.stdin.buffer, at))
            if self.path == STDIN
            else opened(Path(self.path), at) as file
        ):
            batches: Iterable[Batch] = cut(file, ReadLimits().max_record_bytes)
            yield from json_blocks(until_broken(batches, lambda flaw: (None, [flaw])), field)


def sources(patterns: Sequence[str]) -> list[Source]:
    """The inputs in the order that they were named, those of a glob by name; no file twice.

    Raises NotFound for a path or pattern without a file, InvalidInput for an ending that tells no format.
    """
    found: dict[str, Source] = {}
    for pattern in patterns:
        if pattern == STDIN:
            found.setdefault(STDIN, Source(STDIN, "jsonl", 0))
            continue
        paths = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern, recursive=True))
        if not paths:
            raise NotFound(f"there is no file {pattern}", field="INPUT")
        for path in paths:
            found.setdefault(str(Path(path).resolve()), _source(Path(path)))
    return list(found.values())


def _source(path: Path) -> Source:
    form = RECORDS_BY_SUFFIX.get(plain(path).suffix.lower())
    if form is None or (form == "parquet" and path.suffix in COMPRESSED):
        raise InvalidInput(
            f"the ending of {path.name} is none of {', '.join(RECORDS_BY_SUFFIX)} "
            f"(JSON also with {', '.join(COMPRESSED)})",
            field="INPUT",
        )
    if not path.is_file():
        raise InvalidInput(f"{path} is no file", field="INPUT")
    return Source(str(path), form, path.stat().st_size)

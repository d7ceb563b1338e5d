"""Files of bytes as they lie there, or compressed, told how far they have been read, and broken where they are."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from longstream.data.containers import Flaw

COMPRESSED = (".gz", ".bz2", ".zst")
"""Endings of files that are unpacked as they are read."""
BROKEN = "the file is broken here; what came before has been read"

_BUFFER_BYTES = 1024 * 1024
_PIECE_BYTES = 16 * 1024

T = TypeVar("T")


def plain(path: Path) -> Path:
    """The path without the ending of a compressed file."""
    return path.with_suffix("") if path.suffix in COMPRESSED else path


def opened(path: Path, at: Callable[[int], None] | None = None) -> io.BufferedIOBase:
    """The file's bytes, unpacked. at: told how many of its own bytes have been read."""
    raw = path.open("rb", buffering=0)
    return unpacked(raw if at is None else Told(raw, at), path.suffix)


def unpacked(raw: io.RawIOBase, suffix: str = "") -> io.BufferedIOBase:
    """A reader of raw bytes, which it closes."""
    if suffix == ".gz":
        return _Unzipped(raw)
    if suffix == ".bz2":
        return _Bunzipped(raw)
    if suffix == ".zst":
        import pyarrow as pa  # it takes long to import, and only this ending needs it

        stream = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
        # A broken file costs what one reading would have brought.
        return io.BufferedReader(stream, _PIECE_BYTES)
    return io.BufferedReader(raw, _BUFFER_BYTES)


class _Closing(io.BufferedIOBase):
    """Closes the file that it unpacks, which Python's own readers leave open."""

    inner: io.RawIOBase

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.inner.close()


class _Unzipped(_Closing, gzip.GzipFile):
    def __init__(self, raw: io.RawIOBase) -> None:
        self.inner = raw
        super().__init__(fileobj=cast(BinaryIO, raw))


class _Bunzipped(_Closing, bz2.BZ2File):
    def __init__(self, raw: io.RawIOBase) -> None:
        self.inner = raw
        super().__init__(cast(BinaryIO, raw))


class Told(io.RawIOBase):
    """A file that tells how far it has been read."""

    def __init__(self, file: Any, at: Callable[[int], None]) -> None:
        self._file = file
        self._at = at
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size: int = self._file.readinto(buffer)
        self._read += size
        self._at(self._read)
        return size

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def until_broken(items: Iterable[T], told: Callable[[Flaw], T]) -> Iterator[T]:
    """The items of a file that may break while it is read; it then ends with what is told of the flaw."""
    try:
        yield from items
    except (EOFError, zlib.error, gzip.BadGzipFile):
        yield told(Flaw("truncated", BROKEN))
    except OSError as error:
        yield told(Flaw("unreadable", f"reading broke off: {error.strerror or error}"))

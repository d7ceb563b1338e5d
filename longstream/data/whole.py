"""Files that people ask for appear whole or not at all: written beside their place, and moved there at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STDOUT = "-"
"""In place of a path: standard output."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write what shall stand at the path once the block ends well; else nothing is left of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()

"""A file of JSON lines that outlives the process which writes it, also by kill -9."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """Appends one line per fact; each line is in the system's hands when `note` returns."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(self, **fact: Any) -> None:
        os.write(self._file, json.dumps(fact).encode() + b"\n")


def facts(*paths: Path) -> Iterator[dict[str, Any]]:
    """All lines of the files that exist, file by file."""
    for path in paths:
        if path.exists():
            yield from map(json.loads, path.read_text().splitlines())

"""A model folder's revision: the hash of the files that decide what the model answers.

Whoever loads a model names it by this (engines in `EngineIdentity.revision`, the trainer in a model's
parents), so that two records that name the same revision mean the same weights, configuration and
tokenizer.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from longstream.ids import digest

_SUFFIXES = frozenset({".safetensors", ".json", ".model", ".txt", ".jinja"})


def model_revision(folder: Path) -> str:
    """32 hexadecimal digits over the names and contents of the folder's model files; "unknown" if it is none.

    Reads every weight once: about a second for each gigabyte. Model cards and logs do not count.
    """
    files = sorted(path for path in folder.glob("*") if path.suffix in _SUFFIXES and path.is_file())
    if not files:
        return "unknown"
    parts: list[str | bytes] = []
    for path in files:
        with path.open("rb") as stream:
            parts += [path.name, hashlib.file_digest(stream, "sha256").digest()]
    return digest("model-files", *parts)

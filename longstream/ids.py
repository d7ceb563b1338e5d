"""Deterministic ids: the same parts give the same id on every machine, so that a reader can drop a double.

An id is a hash of what made the record (parent, prompt revision, model revision, seed), never of a clock or a
random number; see docs/architecture.md on commit.
"""

from __future__ import annotations

import hashlib


def digest(*parts: str | bytes | int) -> str:
    """32 hex digits (128 bits) of SHA-256 over the parts, each preceded by its type and its length in bytes.

    Unambiguous: ("ab", "c") and ("a", "bc") differ, and so do 1, "1" and b"1". Text is hashed as UTF-8; a
    lone surrogate raises UnicodeEncodeError. Raises TypeError for any other type, bool included.
    """
    state = hashlib.sha256()
    for part in parts:
        tag, raw = _encoded(part)
        state.update(b"%s%d:" % (tag, len(raw)))
        state.update(raw)
    return state.hexdigest()[:32]


def _encoded(part: str | bytes | int) -> tuple[bytes, bytes]:
    if isinstance(part, str):
        return b"s", part.encode()
    if isinstance(part, bytes):
        return b"b", part
    # bool is an int to Python, and True would share its id with 1 in one language and not in another.
    if isinstance(part, int) and not isinstance(part, bool):
        return b"i", b"%d" % part
    raise TypeError(f"an id is made of str, bytes and int, not {type(part).__name__}")

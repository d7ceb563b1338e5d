"""Words as the screens compare them: letters and digits, in lower case, whatever stands between."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b

_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The words of a text, in their order."""
    return _WORD.findall(text.lower())


def runs(found: Sequence[str], n: int) -> Iterator[str]:
    """Every n neighbouring words, joined; of fewer than n words all of them, of none nothing."""
    if found:
        yield from (" ".join(found[at : at + n]) for at in range(max(1, len(found) - n + 1)))


def fingerprint(run: str) -> int:
    """64 bits that stand for a run of words, the same in every process."""
    return int.from_bytes(blake2b(run.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")

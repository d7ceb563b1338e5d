"""Text that is long because it repeats itself: a ranking by length would put it first.

The measures are those of Gopher's repetition filter (arXiv 2112.11446, appendix A.1.1): the share of a text that
stands in repeated lines, in its most frequent run of 2 to 4 words, and in repeated runs of words; and how small it
packs, which also shows loops of marks and of scripts without spaces. The limits are ours: Gopher's are made for pages,
and keep out songs, tables and every twentieth answer with code. These catch none of LIMA's thousand, and every ninth of
the thousand longest of 52,002 models' answers (docs/curate.md).
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence

from longstream.data.words import words

_LEAST_WORDS = 50
"""Shorter texts repeat a run by chance."""
_LEAST_BYTES = 500
"""And pack badly."""
_LINES = 0.5
_MOST_FREQUENT = 0.3
_RUN, _REPEATED = 10, 0.5
_PACKED = 0.12


def repeats_itself(text: str) -> bool:
    """Whether too much of the text has stood in it before."""
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) >= _LEAST_BYTES and len(zlib.compress(raw, 6)) < _PACKED * len(raw):
        return True
    found = words(text)
    letters = sum(map(len, found))
    return len(found) >= _LEAST_WORDS and (
        _in_repeated_lines(text) > _LINES
        or any(_in_most_frequent(found, n) > _MOST_FREQUENT * letters for n in (2, 3, 4))
        or _in_repeated(found, _RUN) > _REPEATED * letters
    )


def _in_repeated_lines(text: str) -> float:
    """Share of the words that stand in lines of three words or more that stood in the text before."""
    seen: set[str] = set()
    repeated = total = 0
    for line in text.splitlines():
        found = words(line)
        total += len(found)
        if len(found) >= 3:
            key = " ".join(found)
            repeated += len(found) if key in seen else 0
            seen.add(key)
    return repeated / max(1, total)


def _in_most_frequent(found: Sequence[str], n: int) -> int:
    """Letters in the run of n words that has the most of them, if it stands there more than once."""
    counts = Counter(zip(*(found[at:] for at in range(n)), strict=False))
    return max((sum(map(len, run)) * count for run, count in counts.items() if count > 1), default=0)


def _in_repeated(found: Sequence[str], n: int) -> int:
    """Letters of words that belong to a run of n words that stood before; a word counts once."""
    seen: set[tuple[str, ...]] = set()
    covered = letters = 0
    for at, run in enumerate(zip(*(found[start:] for start in range(n)), strict=False)):
        if run in seen:
            letters += sum(map(len, found[max(at, covered) : at + n]))
            covered = at + n
        seen.add(run)
    return letters

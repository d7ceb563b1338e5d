"""Bounds of a text's word tokens, from the classes of its bytes, for `nltk_words.py`.

A rule of the tokenizer cuts beside a mark, around the two parts of a contraction, or around a full stop that has
anything but a letter or digit behind it; and a quotation mark that it writes in another way stays one word. So there
cannot be more words than there are marks, runs between white space and marks, and cuts within a run, each counted as
often as it occurs. Hypothesis attacks all bounds (tests/curator/test_nltk_words.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from longstream_curator.treebank import IN_CONTRACTIONS

_SPACES = b"\t\n\v\f\r\x1c\x1d\x1e\x1f "
_MARKS = b"`:,;@#$%&?!*[](){}<>\"'"
_LETTERS_AND_DIGITS = bytes(range(48, 58)) + bytes(range(65, 91)) + bytes(range(97, 123))


def _classes(of: dict[bytes, str], others: str) -> bytes:
    """A table for bytes.translate: from each byte to its class."""
    table = bytearray(others * 256, "ascii")
    for members, name in of.items():
        for byte in members:
            table[byte] = ord(name)
    return bytes(table)


_APART = b';@#$%&?!*[](){}<>"'
"""Marks that are always words of their own."""
# Ordered so that comparisons tell white space, such marks, other ASCII, the rest, and letters and digits apart; n, t
# and m have classes of their own.
_ROUGHLY = _classes(
    {
        bytes(range(128)): "\2",
        _SPACES: "\0",
        _APART: "\1",
        _LETTERS_AND_DIGITS: "\4",
        b"nN": "\5",
        b"tT": "\6",
        b"mM": "\7",
    },
    others="\3",
)
_GROUP_BYTES = 256 * 1024
_CLOSELY = _classes({bytes(range(128)): "a", _SPACES: " ", _MARKS: "*", b".": "."}, "u")
_RUNS = _classes({b" *": " "}, "a")
# Unicode quotation marks (U+2018 to U+201E, « and ») and white space beyond ASCII, by their first bytes.
_WIDE_MARKS = (b"\xe2\x80", b"\xc2")
_WIDE_SPACES = (b"\xe2\x81\x9f", b"\xe1\x9a\x80", b"\xe3\x80\x80")
_CONTRACTIONS = tuple(part.encode() for part in IN_CONTRACTIONS)
_APOSTROPHE_CONTRACTIONS = (b"'tis", b"'twas", b"d'ye", b"more'n")


class Bounds(NamedTuple):
    """Of many texts at once: no length is below its lower bound or above its upper one."""

    lower: NDArray[np.int64]
    upper: NDArray[np.int64]


def rough_bounds(texts: Sequence[str]) -> Bounds:
    """Below and above the number of word tokens of each text, in English by a tenth and a fifth, by a few passes.

    At least every mark that stands apart is a word, and every run between such marks and white space that begins with
    an ASCII character, which is none of the white space that hides elsewhere. For the upper bound every byte but ASCII
    letters, digits and white space is a mark, and a word, and so is each run between marks and spaces. Within a run
    only contractions are cut that have no apostrophe: with one, the apostrophe, which was counted as a word, is part of
    one. Each of these has two n, m or t side by side, and every such pair is counted.
    """
    groups = [_rough_bounds_of(group) for group in _groups(texts)]
    if not groups:
        return Bounds(np.zeros(0, np.int64), np.zeros(0, np.int64))
    return Bounds(*map(np.concatenate, zip(*groups, strict=True)))


def _groups(texts: Sequence[str]) -> Iterator[list[bytes]]:
    """UTF-8 of each text, in groups that the processor's cache holds."""
    group, size = list[bytes](), 0
    for text in texts:
        raw = text.encode("utf-8", "surrogatepass")
        group.append(raw)
        size += len(raw)
        if size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _rough_bounds_of(texts: list[bytes]) -> Bounds:
    seen = np.frombuffer((b" %b " % b" ".join(texts)).translate(_ROUGHLY), np.uint8)
    before, here = seen[:-1], seen[1:]
    pair = (before == here) & (here > 4)
    within = (np.minimum(before, here) > 3) & ~pair
    surely = (here == 1) | ((before < 2) & (here > 1) & (here != 3))
    ends = np.cumsum(np.fromiter((len(text) + 1 for text in texts), np.int64, len(texts)))
    begins = np.concatenate([[0], ends[:-1]])
    counted = (np.add.reduceat(each, begins, dtype=np.int64) for each in (surely, (here > 0) & ~within))
    return Bounds(*counted)


def close_bound(text: str) -> int:
    """Never below the number of word tokens; about 2 % above it in English."""
    raw = text.encode("utf-8", "surrogatepass")
    classes = raw.translate(_CLOSELY)
    total = classes.count(b"*") + _runs(classes)
    if b"." in raw:
        total += classes.count(b".") - classes.count(b".a") + classes.count(b"..")
    if b"--" in raw:
        total += 2 * raw.count(b"--")
    lower = raw.lower()
    total += 3 * sum(map(lower.count, _CONTRACTIONS))
    if b"'" in raw:
        total += sum(map(lower.count, _APOSTROPHE_CONTRACTIONS))
    return total if len(raw) == len(text) else total + _wide_cuts(raw, lower)


def _runs(classes: bytes) -> int:
    """Stretches without space or mark."""
    return (b" " + classes.translate(_RUNS)).count(b" a")


def _wide_cuts(raw: bytes, lower: bytes) -> int:
    """Cuts by characters beyond ASCII; a dotted capital i and a long s fit into 'tis and 'twas as well."""
    marks = sum(map(raw.count, _WIDE_MARKS))
    return 2 * marks + sum(map(raw.count, _WIDE_SPACES)) + lower.count(b"'t")

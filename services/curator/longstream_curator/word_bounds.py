"""Upper bounds of a text's word tokens, from the classes of its bytes, for `nltk_words.py`.

A rule of the tokenizer cuts beside a mark, around the two parts of a contraction, or around a full stop that has
anything but a letter or digit behind it; and a quotation mark that it writes in another way stays one word. So there
cannot be more words than there are marks, runs between white space and marks, and cuts within a run, each counted as
often as it occurs. Hypothesis attacks both bounds (tests/curator/test_nltk_words.py).
"""

from __future__ import annotations

# Frequent pairs of marks, no two of which can be the same pair.
_SIDE_BY_SIDE = (b", ", b". ", b".\n", b"\n\n", b": ")
_PLAIN = bytes(range(48, 58)) + bytes(range(65, 91)) + bytes(range(97, 123))


def rough_bound(text: str, floor: int) -> int:
    """Never below the number of word tokens, in English about a fifth above it; a few passes over the bytes.

    Here each byte that is no ASCII letter or digit is a mark, and a word if it is no space, and so is each run
    between them: one more than marks at most, and one less for each two marks side by side. Within a run only
    contractions are cut that have no apostrophe: with one, the apostrophe, which was counted as a word, is part of one.
    They take six bytes with what parts them, and are looked for where so many would reach the floor.
    """
    raw = text.encode("utf-8", "surrogatepass")
    marks = len(raw.translate(None, _PLAIN))
    total = 2 * marks + 1 - raw.count(b" ")
    most = len(raw) // 6 + 1
    if total + most < floor:
        return total + most
    if total >= floor:
        total -= raw.count(b"\n") + sum(map(raw.count, _SIDE_BY_SIDE))
    if total >= floor:
        return total + most
    return total + sum(map(raw.lower().count, _CONTRACTIONS))


_SPACES = b"\t\n\v\f\r\x1c\x1d\x1e\x1f "
_MARKS = b"`:,;@#$%&?!*[](){}<>\"'"
# From each byte of UTF-8 to its class: a blank for spaces and marks, the full stop, u beyond ASCII, else a.
_CLASSES = bytes(
    32 if byte in _SPACES + _MARKS else 46 if byte == 46 else 97 if byte < 128 else 117 for byte in range(256)
)
# Unicode quotation marks (U+2018 to U+201E, « and ») and white space beyond ASCII, by their first bytes.
_WIDE_MARKS = (b"\xe2\x80", b"\xc2")
_WIDE_SPACES = (b"\xe2\x81\x9f", b"\xe1\x9a\x80", b"\xe3\x80\x80")
# What the contraction rules split: cannot, gonna, gotta, wanna, lemme, gimme; with an apostrophe the rest.
_CONTRACTIONS = (b"cannot", b"gonna", b"gotta", b"wanna", b"mme")
_APOSTROPHE_CONTRACTIONS = (b"'tis", b"'twas", b"d'ye", b"more'n")


def close_bound(text: str) -> int:
    """Never below the number of word tokens; about 2 % above it in English."""
    raw = text.encode("utf-8", "surrogatepass")
    classes = raw.translate(_CLASSES)
    total = len(classes.split()) + len(raw) - len(raw.translate(None, _MARKS))
    if b"." in raw:
        total += classes.count(b".") - classes.count(b".a") + classes.count(b"..")
    if b"--" in raw:
        total += 2 * raw.count(b"--")
    lower = raw.lower()
    total += 3 * sum(map(lower.count, _CONTRACTIONS))
    if b"'" in raw:
        total += sum(map(lower.count, _APOSTROPHE_CONTRACTIONS))
    return total if len(raw) == len(text) else total + _wide_cuts(raw, lower)


def _wide_cuts(raw: bytes, lower: bytes) -> int:
    """Cuts by characters beyond ASCII; a dotted capital i and a long s fit into 'tis and 'twas as well."""
    marks = sum(map(raw.count, _WIDE_MARKS))
    return 2 * marks + sum(map(raw.count, _WIDE_SPACES)) + lower.count(b"'t")

"""The count of `nltk_words.py` by a few passes over the bytes, for texts where the rules are plain to follow.

Of most words NLTK makes as many tokens as they have marks and runs between marks, wherever they stand; numpy counts
these. Odd words (`odd_words.py`) are looked at one by one, and what they make is remembered. What is left is the full
stop that ends a sentence, a token of its own: each that may do so is put to Punkt. A text where it matters for other
words where sentences end is nobody's here, and goes to the rules themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Generic, TypeVar

from longstream_curator import odd_words
from longstream_curator.odd_words import CLASSES, GO_ON, LETTER, Odd
from longstream_curator.punkt import END_MARKS_AND_SPACES, Punkt

MAX_KNOWN = 100_000
MAX_KNOWN_LENGTH = 40
"""Longer words are not remembered, so that the memory of all of them is bounded."""

_STOPS_OR_NONE = frozenset({".", "?", "!", ""})
_OTHER = frozenset(range(128, 256)) | frozenset(b"\x1c\x1d\x1e\x1f")
_CLOSING = re.compile(r"[\"')\]}]+(?:\s|--|$)")
_NEXT = re.compile(rb"[\t-\r ]+([^\t-\r ]+)")
_LATER = re.compile(rb"[.?!][)\";}\]*:@'({\[?!\x1c-\x1f\x80-\xff]")
_PART_OF_NUMBER = re.compile(rb":\d")

# Of a word's full stop: whether it is a token where it ends a sentence, or is one anyhow; whether it ends one whatever
# follows, or Punkt is asked; and whether the word is odd.
_TOKEN, _ENDS, _ODD_WORD = 1, 2, 4

_Key = TypeVar("_Key", str, bytes)
_Value = TypeVar("_Value")


class _Remembered(dict[_Key, _Value], Generic[_Key, _Value]):
    """What was found once for each key; all is forgotten when there is too much."""

    def __init__(self, find: Callable[[_Key], _Value]) -> None:
        super().__init__()
        self._find: Callable[[_Key], _Value] = find

    def __missing__(self, key: _Key) -> _Value:
        found = self._find(key)
        if len(key) <= MAX_KNOWN_LENGTH:
            if len(self) >= MAX_KNOWN:
                self.clear()
            self[key] = found
        return found


class PlainWords:
    """Counts NLTK word tokens of most texts."""

    def __init__(self, punkt: Punkt) -> None:
        from longstream_curator.compiled.word_scan import Words  # not loaded by those who count no words

        self._punkt = punkt
        self._behind_numbers = tuple(word.encode() for word in punkt.behind_numbers)
        shapes = _Remembered[str, Odd | None](odd_words.odd)
        self._odd = _Remembered[bytes, Odd | None](lambda word: shapes[odd_words.shape(_text(word))])
        self._stopped = _Remembered[bytes, int](self._of_stopped)
        self._ends = _Remembered[bytes, bool](self._asked)
        self._words = Words(punkt.special, punkt.behind_numbers)
        self._tails = _Remembered[str, int | None](odd_words.of_tail)

    def count(self, text: str, floor: int = 0) -> int | None:
        """Number of word tokens; None for a text that the rules themselves must count.

        Of a text that surely has fewer than floor, what they can be at most.
        """
        text = text.rstrip()
        core = text.rstrip(END_MARKS_AND_SPACES)
        cut = max(0, core.rfind(" "), core.rfind("\n"))
        last: int | None = 0
        if (
            core == text
            and core[-1:] not in _STOPS_OR_NONE
            and not odd_words.is_odd(text[cut:].encode("utf-8", "surrogatepass"))
        ):
            cut = len(text)  # the last word is like any other
        else:
            last = self._tails[odd_words.shape(text[cut:])]
        if last is None or not cut:
            return last
        raw = f" {text} ".encode("utf-8", "surrogatepass")
        end = 1 + (cut if text.isascii() else len(text[:cut].encode("utf-8", "surrogatepass")))
        place, total = 0, last
        while place < end:
            place, tokens, odd, stops = self._words.scan(raw, place, end)
            if place >= end and total + tokens + _most_more(raw, odd, stops) < floor:
                return total + tokens + _most_more(raw, odd, stops)
            more = None if place < 0 else self._more(raw, odd, stops)
            if more is None:
                return None
            total += tokens + more
        return total

    def _more(self, raw: bytes, odd: list[list[int]], stops: list[list[int]]) -> int | None:
        """Tokens more by what is not plain."""
        total = 0
        for begin, end in odd:
            found = self._odd[raw[begin - 1 : end + 1]]
            if found is None:
                return None
            total += found.more
        for begin, place, end in stops:
            more = self._within(raw, begin, place, end) if place + 1 < end else self._behind(raw, begin, end)
            if more is None:
                return None
            total += more
        return total

    def _behind(self, raw: bytes, start: int, end: int) -> int | None:
        """Tokens more by a full stop with white space behind it."""
        kind = self._stopped[raw[start:end]]
        following = _NEXT.match(raw, end)
        assert following is not None  # the last word of all is not among these
        if following[1][0] in _OTHER and _text(following[1])[0].isspace():
            return None
        if not kind & _ENDS and not self._ends_before(raw, start, following):
            return 0
        apart = raw[end : following.start(1)].strip(b" ") or following[1].startswith((b'"', b"''"))
        if apart and _CLOSING.match(_text(following[1])):
            # The rule for a last full stop sees past no line break, nor past what is taken for an opening quote.
            return 0
        return self._by_stop(raw, start, end) if kind == _ODD_WORD else kind & _TOKEN

    def _within(self, raw: bytes, start: int, place: int, end: int) -> int | None:
        """Tokens more by a full stop with something else behind it."""
        last = raw[end - 1] in b".?!"
        later = None if last else _LATER.search(raw, place + 1, end)
        if last or later:
            # Of several marks in a word the last may end a sentence, and one at its beginning.
            unsure = place == start or (later is not None and raw[later.end() - 1] in _OTHER)
            return None if unsure else 0
        kind = self._stopped[raw[start : place + 1]]
        if not kind & _ENDS and not self._ends[raw[start : place + 2]]:
            return 0
        if odd_words.is_odd(raw[start:end]):
            return self._by_stop(raw, start, end)
        return None if _PART_OF_NUMBER.match(raw, place + 1) else kind & _TOKEN

    def _by_stop(self, raw: bytes, start: int, end: int) -> int | None:
        odd = self._odd[raw[start - 1 : end + 1]]
        return None if odd is None else odd.by_stop

    def _of_stopped(self, stopped: bytes) -> int:
        word = _text(stopped)
        if odd_words.is_odd(stopped):
            return _ODD_WORD
        token = _TOKEN if len(word) > 1 and stopped.translate(CLASSES)[-2] >= LETTER else 0
        return token | (_ENDS if self._punkt.always_ends(word) else 0)

    def _ends_before(self, raw: bytes, start: int, following: re.Match[bytes]) -> bool:
        """Whether a sentence ends between a word with a full stop and the next one."""
        number, behind = raw[start : following.start() - 1].lstrip(b'*(["'), following[1]
        sure = behind[0] < 128 and behind[0] not in GO_ON
        if number.isdigit() and sure and not behind.lower().startswith(self._behind_numbers):
            return True
        return self._ends[raw[start : following.end()]]

    def _asked(self, context: bytes) -> bool:
        """context: a word with its full stop, and the next word, or the mark behind it."""
        spaces = _NEXT.search(context)
        end = len(_text(context[: spaces.start() if spaces else -1]))
        return self._punkt.breaks(_text(context), 0, end)


def _most_more(raw: bytes, odd: list[list[int]], stops: list[list[int]]) -> int:
    """No more tokens than this are made by what is not plain: no word has more of them than it has bytes."""
    most = sum(end - begin for begin, end in odd)
    return most + sum(1 if raw[begin:end].isascii() else end - begin for begin, _, end in stops)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")

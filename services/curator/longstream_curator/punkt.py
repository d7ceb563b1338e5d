"""Where sentences end: Punkt (Kiss and Strunk 2006), as NLTK 3.8.1 applies it, without NLTK.

Punkt looks at each full stop together with the words beside it: known abbreviations, initials, numbers, and what was
learnt about the case of the next word. Without learnt parameters there are no abbreviations; both are metric versions
of their own. The English parameters are read from the text files of `punkt_tab`; a pickle of them is never opened,
since reading one runs code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from longstream.errors import InvalidInput, NotFound

PUNKT = Path("tokenizers", "punkt_tab", "english")

# Bits of what was learnt about a word: the places where it stood, with an upper and with a lower first letter.
_MIDDLE_UPPER, _START_LOWER = 1 << 2, 1 << 4
_ANY_UPPER, _ANY_LOWER = (1 << 1) | (1 << 2) | (1 << 3), (1 << 4) | (1 << 5) | (1 << 6)

_NUMBER = "##number##"
_NEVER_IN_WORD = r"""[)";}\]*:@'({\[?!]"""
_RUN = r"(?:-{2,}|\.{2,}|(?:\.\s){2,}\.)"
# A word goes on until white space, a mark that is in no word, a run of marks, or a comma before one of these.
_WORD = re.compile(
    rf"{_RUN}|[^\s(\"`{{\[:;&#*@)}}\]\-,]\S*?(?=\s|$|{_NEVER_IN_WORD}|{_RUN}|,(?:$|\s|{_NEVER_IN_WORD}|{_RUN}))|\S"
)
MAY_END = re.compile(rf"[.?!](?={_NEVER_IN_WORD}|\s+\S)")
_NEXT = re.compile(r"\s+(\S+)")
# Marks that close a sentence although they stand behind its end.
_CLOSING = re.compile(r"[\"')\]}]+?(?:\s+|(?=--)|$)", re.MULTILINE)
CLOSERS = "\"')]}"
"""Marks of these that white space follows belong to the sentence that ended before them."""
END_MARKS = "])}>\"'»”’"
"""What may stand between the last full stop and the end of a sentence, for whoever counts its words."""
_NUMERIC = re.compile(r"^-?[.,]?\d[\d,.-]*\.?$")
_DOTS = re.compile(r"\.{2,}")
_INITIAL = re.compile(r"[^\W\d]\.")
END_MARKS_AND_SPACES = END_MARKS + "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
_RARE_SPACES = "\t\r\v\f"
_PAUSES = frozenset(";:,.!?")


@dataclass(frozen=True, slots=True)
class Parameters:
    """What was learnt from a language's text. contexts: by word, the bits of where it stood in which case."""

    abbreviations: frozenset[str] = frozenset()
    starters: frozenset[str] = frozenset()
    collocations: frozenset[tuple[str, str]] = frozenset()
    contexts: Mapping[str, int] = field(default_factory=dict)


class Punkt:
    """Splits texts into sentences."""

    def __init__(self, parameters: Parameters) -> None:
        self._known = parameters
        self.special = parameters.abbreviations | {first for first, _ in parameters.collocations}
        """Words in lower case, before whose full stops Punkt looks further."""
        self.behind_numbers = sorted(second for first, second in parameters.collocations if first == _NUMBER)
        """Beginnings of words that a sentence may go on with behind a number's full stop."""

    def sentences(self, text: str) -> Iterator[str]:
        """The sentences, without the white space between them; together they hold every other character."""
        return (text[start:stop] for start, stop in _with_closers(text, self._spans(text)))

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        start = 0
        for mark, word in _possible_ends(text):
            end = mark + 1
            if self.breaks(text, word, end):
                yield start, end
                following = _NEXT.match(text, end)
                start = following.start(1) if following else end
        yield start, len(text.rstrip())

    def breaks(self, text: str, start: int, end: int) -> bool:
        """Whether a sentence ends at end, behind the word from start and its mark, before what follows it."""
        if text[end - 1] != ".":
            return True
        word = text[start : end - 1]
        if word.isalpha() and len(word) > 1 and word.lower() not in self.special:
            return True
        following = _NEXT.match(text, end)
        # Lines apart: a run of marks does not go on in the next one.
        lines = text[start : following.end() if following else end + 1].split("\n")
        words = [found for line in lines for found in _WORD.findall(line)]
        return any(self._ends(first, second) for first, second in pairwise(words))

    def always_ends(self, word: str) -> bool:
        """Whether a word's full stop ends a sentence whatever follows, if only white space or a mark is behind it."""
        bare = word[:-1]
        if bare.isalpha() and len(bare) > 1 and bare.lower() not in self.special:
            return True
        last = (_WORD.findall(word) or [""])[-1]
        kind = _without_stop(_kind(last))
        special = kind == _NUMBER or kind in self.special or _INITIAL.fullmatch(last) is not None
        return last.endswith(".") and not special and self._by_itself(last) == (False, True)

    def _ends(self, word: str, following: str) -> bool:
        return word in {"?", "!"} or (word.endswith(".") and self._stop_ends(word, following))

    def _stop_ends(self, word: str, following: str) -> bool:
        """Kiss and Strunk 2006, section 4: the word by itself, then both in the light of what was learnt."""
        kind, next_kind = _without_stop(_kind(word)), self._kind_of_next(following)
        abbreviation, ends = self._by_itself(word)
        initial = _INITIAL.fullmatch(word) is not None
        if (kind, next_kind) in self._known.collocations:
            return False
        if (abbreviation or _DOTS.fullmatch(word)) and not initial and self._starts(following, next_kind):
            return True
        if (initial or kind == _NUMBER) and self._goes_on(following, next_kind):
            return False
        if initial and following[0].isupper() and not self._known.contexts.get(next_kind, 0) & _ANY_LOWER:
            return False
        return ends

    def _by_itself(self, word: str) -> tuple[bool, bool]:
        """Whether a word with a full stop is an abbreviation, and whether it ends a sentence, by the word alone."""
        if word == ".":
            return False, True
        if word.endswith(".."):
            return False, False
        bare = word[:-1].lower()
        known = self._known.abbreviations
        abbreviation = bare in known or bare.rpartition("-")[2] in known
        return abbreviation, not abbreviation

    def _kind_of_next(self, word: str) -> str:
        """As it was learnt: without a full stop that ends a sentence."""
        kind = _kind(word)
        return _without_stop(kind) if word.endswith(".") and self._by_itself(word)[1] else kind

    def _starts(self, word: str, kind: str) -> bool:
        """An upper first letter, of a frequent starter, or of a word seen with a lower one and never so within."""
        context = self._known.contexts.get(kind, 0)
        learnt = bool(context & _ANY_LOWER) and not context & _MIDDLE_UPPER
        return word[0].isupper() and (learnt or kind in self._known.starters)

    def _goes_on(self, word: str, kind: str) -> bool:
        """A mark of a pause, or a lower first letter of a word that starts sentences with an upper one."""
        if word in _PAUSES:
            return True
        context = self._known.contexts.get(kind, 0)
        return word[0].islower() and (bool(context & _ANY_UPPER) or not context & _START_LOWER)


def _possible_ends(text: str) -> Iterator[tuple[int, int]]:
    """Every mark that may end a sentence, of marks in one word the last, and where the word before it starts."""
    rare = [space for space in _RARE_SPACES if space in text]
    mark = -1  # the last mark seen, not given yet
    word = since = 0
    find = text.rfind
    for match in MAY_END.finditer(text):
        here = match.start()
        space = find(" ", since, here)
        if (newline := find("\n", max(space, since), here)) >= 0:
            space = newline
        for other in rare:
            space = max(space, find(other, since, here))
        begun = space + 1 if space > since else word
        if begun >= mark >= 0:
            yield mark, word
        since, word, mark = here, begun, here
    if mark >= 0:
        yield mark, word


def _with_closers(text: str, spans: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans with the marks that close them, which are found at the beginning of the next."""
    moved = 0  # how much of a span's beginning belongs to the one before
    last: tuple[int, int] | None = None
    for span in spans:
        if last is not None:
            start, stop = last
            closing = None
            if text[span[0]] in CLOSERS:
                closing = _CLOSING.match(text, span[0], span[1])
            if closing is not None:
                stop = span[0] + len(closing.group().rstrip())
            if start + moved < stop:
                yield start + moved, stop
            moved = closing.end() - span[0] if closing is not None else 0
        last = span
    if last is not None and last[0] + moved < last[1]:
        yield last[0] + moved, last[1]


def _kind(word: str) -> str:
    return _NUMBER if _NUMERIC.match(lower := word.lower()) else lower


def _without_stop(kind: str) -> str:
    return kind[:-1] if len(kind) > 1 and kind.endswith(".") else kind


def punkt_folder(nltk_data: Path | None) -> Path | None:
    """Where the English parameters lie below nltk_data; None without such a folder (Punkt is then untrained).

    Raises NotFound if nltk_data is given and has none: a replica that ranks by another rule must not start.
    """
    if nltk_data is None:
        return None
    folder = nltk_data / PUNKT
    if not folder.is_dir():
        raise NotFound(f"{nltk_data} has no {PUNKT}; leave the folder out to split sentences untrained")
    return folder


def read_punkt(folder: Path | None) -> Parameters:
    """The parameters in that folder, or none learnt. Raises InvalidInput for a missing or malformed file."""
    if folder is None:
        return Parameters()
    contexts: dict[str, int] = {}
    for word, flags in _pairs(folder / "ortho_context.tab"):
        if not flags.isdecimal():
            raise InvalidInput(f"{folder / 'ortho_context.tab'}: the context of {word!r} is no number")
        contexts[word] = int(flags)
    return Parameters(
        abbreviations=frozenset(_lines(folder / "abbrev_types.txt")),
        starters=frozenset(_lines(folder / "sent_starters.txt")),
        collocations=frozenset(_pairs(folder / "collocations.tab")),
        contexts=contexts,
    )


def _pairs(path: Path) -> list[tuple[str, str]]:
    rows = [line.split("\t") for line in _lines(path)]
    wrong = next((number for number, row in enumerate(rows, 1) if len(row) != 2), None)
    if wrong is not None:
        raise InvalidInput(f"{path}, line {wrong}: two fields with a tab between them are due")
    return [(first, second) for first, second in rows]


def _lines(path: Path) -> list[str]:
    """Lines as they are: an abbreviation may end in a space."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}") from None
    return [line for line in text.split("\n") if line]

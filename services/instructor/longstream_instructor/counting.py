"""How many sentences and words a text has, as its readers would count them.

An instruction may tell how long its answer is (LongForm, arXiv 2304.08460), so a number that is told must be right.
Where readers would not agree (headings, lists, code, a full stop that may belong to an abbreviation) a count of
sentences says that it is not sure, and words are told instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TERMINATORS = ".!?\u2026\u3002\uff01\uff1f"
_WIDE = "\u3002\uff01\uff1f"
_CLOSERS = "\"')\\]}\u2019\u201d\u00bb\u300d\u300f"
_END = re.compile(f"[{_TERMINATORS}]+[{_CLOSERS}]*")
_OPENERS = "\"'([{\u2018\u201c\u201e\u00ab\u00bf\u00a1\u300c\u300e\u2013\u2014-"
_PARAGRAPHS = re.compile(r"\n\s*\n")
_NO_PROSE = re.compile(
    r"^(?:[ \t]*(?:[-*+\u2022\u2013]|\(?\d{1,3}[.)]|\(?[a-zA-Z]\)|#{1,6}|>|\||```|~~~|={3,}|-{3,})(?:\s|$)| {4}|\t)",
    re.MULTILINE,
)
_DOTTED = re.compile(r"(?:\w{1,2}\.)+\w{1,2}")
_NEAR = 40
"""Characters on either side of a mark that are looked at."""
_SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]")

# What stands before a name, a number or an example, so that no sentence ends with it.
_NEVER = """
    mr mrs ms dr prof st mt gen col capt lt sgt rev hon pres gov sen rep fig figs eq eqs nos nr vol vols pp p ch sec
    art cf e.g eg i.e ie vs approx ca ed eds trans al
    hr fr z.b d.h u.a bzw bspw evtl ggf vgl abb kap str sog
    sr sra srta dña ud uds núm págs pág p.ej
    mme mlle mgr m
    т.е т.к напр г ул см рис стр им
"""
# What may as well be the end of a sentence as stand inside one.
_MAYBE = """
    etc inc ltd co corp jr bros dept a.m p.m am pm usa ph.d
    usw usf etw
    др пр гг руб млн млрд тыс
"""
_SINGLE_WORDS = "aioyàòуяав"
_NEVER_LAST = frozenset(_NEVER.split())
_MAYBE_LAST = frozenset(_MAYBE.split())


@dataclass(frozen=True, slots=True)
class Sentences:
    """How many there are. sure: another reader would count as many."""

    number: int
    sure: bool


def sentences(text: str) -> Sentences:
    """Count a text's sentences; a paragraph that ends without a mark counts for one, and makes it unsure."""
    number, sure = 0, _NO_PROSE.search(text) is None
    for paragraph in _PARAGRAPHS.split(text):
        body = " ".join(paragraph.split())
        if not any(map(str.isalnum, body)):
            continue
        ends = list(_ends(body))
        number += len(ends)
        sure = sure and all(certain for _, certain in ends)
        rest = body[ends[-1][0] if ends else 0 :]
        if any(map(str.isalnum, rest)):
            number, sure = number + 1, False
    return Sentences(number, sure)


def words(text: str) -> int | None:
    """Count what stands between spaces and holds a letter or digit; None where words are written without spaces."""
    if len(_SPACELESS.findall(text)) > len(text) / 10:
        return None
    return sum(any(map(str.isalnum, word)) for word in text.split())


def _ends(body: str) -> Iterator[tuple[int, bool]]:
    """Where sentences end in a paragraph on one line, and whether that is certain."""
    start = 0
    for match in _END.finditer(body):
        if not any(map(str.isalnum, body[start : match.start()])):
            continue  # marks alone are no sentence
        verdict = _verdict(body, match)
        if verdict is not None:
            start = match.end()
            yield match.end(), verdict


def _verdict(body: str, match: re.Match[str]) -> bool | None:
    """Whether a mark certainly ends a sentence; None: it does not."""
    marks, behind = match.group(), body[match.end() : match.end() + _NEAR]
    if not behind or marks[0] in _WIDE:
        return True
    following = behind.lstrip(f" {_OPENERS}")[:1]
    if not behind.startswith(" ") or following.islower():
        return None  # inside a number, a file's name, an address; or the sentence goes on
    if marks[0] in "!?":
        return True
    if marks.startswith(("..", "\u2026")):
        return False
    # Not further than a word is long, lest a long text be searched from its beginning for each of its sentences.
    before = (
        body[max(0, match.start() - _NEAR) : match.start()].rpartition(" ")[2].lstrip(_OPENERS).casefold()
    )
    initial = len(before) == 1 and before.isalpha() and before not in _SINGLE_WORDS and following.isupper()
    if initial or before in _NEVER_LAST or (before == "no" and following.isdigit()):
        return None
    # A number before the mark may be an ordinal, as dates are written in several languages.
    return not (before in _MAYBE_LAST or before.isdigit() or _DOTTED.fullmatch(before))

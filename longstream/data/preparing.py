"""From a text as it was published to one that is worth an instruction: cleaned, chosen from, looked at, or left out.

LongForm (arXiv 2304.08460) takes the first paragraph of three Wikipedia articles in four, and the first two of the
others; of its limits besides nothing is known. Limits are per source: a floor of 50 words would leave out most first
paragraphs of Wikipedia. Nothing is ever cut inside a paragraph.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from heapq import heappush, heappushpop

from longstream.data.personal import scrubbed
from longstream.data.records import Document, Item, Rejected
from longstream.draws import weighted
from longstream.errors import InvalidInput
from longstream.ids import digest

PAPER_PARAGRAPHS: Mapping[int, float] = {1: 0.75, 2: 0.25}
"""LongForm's shares of Wikipedia's articles, by the number of paragraphs that are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What is done to every record of a source; as it stands, nothing.

    tidy: Unicode NFC, no control characters or invisible marks, no headers and footers of pages, no lines of
    navigation at either end. scrub: what may name a person goes behind a placeholder, and the provenance tells how much
    of it did. paragraphs: shares by the number of paragraphs that are kept of a document. min_words and
    max_words: of a document, or of a pair's response. languages: ISO 639-1; none: any. most: records of a source, drawn
    by seed; 0: all. seed: of these draws.
    """

    tidy: bool = False
    scrub: bool = False
    paragraphs: Mapping[int, float] = field(default_factory=dict)
    min_words: int = 0
    max_words: int = 0
    languages: tuple[str, ...] = ()
    most: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if any(number < 1 or share < 0 for number, share in self.paragraphs.items()) or (
            self.paragraphs and not sum(self.paragraphs.values())
        ):
            raise InvalidInput("paragraphs are shares by number, as 1=75,2=25", field="paragraphs")
        if min(self.min_words, self.max_words, self.most) < 0:
            raise InvalidInput("numbers of words and records are 0 or more", field="min_words")


def prepared(items: Iterable[Item], preparation: Preparation) -> Iterator[Item]:
    """Every record, changed or with the reason why it is left out, in its place; those drawn come at the end."""
    done = (_one(item, preparation) for item in items)
    return _drawn(done, preparation) if preparation.most else done


def tidied(text: str) -> str:
    """A text without what is no text: see `Preparation.tidy`. Tidying what is tidy changes nothing."""
    before = ""
    while text != before:
        before = text
        text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
        text = _without_page_furniture(text).replace("\f", "\n\n")
        text = _INVISIBLE.sub("", text)
        lines = [line.rstrip() for line in text.split("\n")]
        text = _MANY_LINES.sub("\n\n", "\n".join(_without_navigation(lines))).strip()
    return text


def first_paragraphs(text: str, number: int) -> str:
    """The first so many paragraphs that say something, as they stand; headings before them go along with none."""
    found = [part.strip("\n") for part in _PARAGRAPH.split(text) if _says_something(part)]
    return "\n\n".join(found[:number])


_INVISIBLE = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2060\ufeff\ufff9-\ufffb]")
_MANY_LINES = re.compile(r"\n{3,}")
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_END = re.compile(r"[.!?\u2026\u3002\uff01\uff1f:][\"'\u201d\u2019\u00bb)\]]*\s*$")
_LEAST_WORDS = 12
"""A paragraph with fewer that ends without a mark is a heading or a caption."""

_PAGES = 3
"""From so many pages on, what stands at the top or bottom of half of them is no text."""
_NUMBERS = re.compile(r"\d+")
_NAVIGATION = re.compile(
    r"^\W*(?:skip to (?:main )?content|(?:main )?menu|navigation|home|search|log ?in|sign (?:in|up)|subscribe\b.{0,40}"
    r"|share (?:this|on)\b.{0,40}|tweet|print(?: this page)?|back to top|top|previous|next|older posts|newer posts"
    r"|read more|related (?:posts|articles)|leave a (?:comment|reply)|\d* ?comments?|all rights reserved"
    r"|(?:copyright|\(c\)|\u00a9)\s.{0,80}|privacy policy|terms (?:of (?:use|service)|and conditions)"
    r"|cookies?(?: policy)?"
    r"|(?:we|this (?:web)?site) uses? cookies\b.{0,120}|advertisement|powered by\b.{0,60})\W*$",
    re.IGNORECASE,
)
_ENDS = 12
"""Lines that say something, at either end of a text, among which there may be navigation."""


def _one(item: Item, preparation: Preparation) -> Item:
    if isinstance(item, Rejected):
        return item
    text = item.text if isinstance(item, Document) else item.response
    if preparation.tidy:
        text = tidied(text)
    if preparation.paragraphs and isinstance(item, Document):
        text = first_paragraphs(text, _number_of(item, preparation))
    gone = Counter[str]()
    if preparation.scrub:
        text, gone = scrubbed(text)
    reason, message = _refusal(text, preparation)
    if reason:
        # A file of a folder has no number, so that its name must tell which one is meant.
        name = f"{item.external_id}: " if item.source_index is None and item.external_id else ""
        return Rejected(source_index=item.source_index, reason=reason, message=f"{name}{message}")
    if gone:
        told = ", ".join(f"{kind} {count}" for kind, count in sorted(gone.items()))
        item = replace(item, provenance={**item.provenance, "scrubbed": told})
    if isinstance(item, Document):
        return item if text == item.text else replace(item, text=text)
    return item if text == item.response else replace(item, response=text)


def _refusal(text: str, preparation: Preparation) -> tuple[str, str]:
    if not text.strip():
        return "empty", "nothing is left of it"
    count = len(text.split())
    if count < preparation.min_words:
        return "too_short", f"it has {count:,} words; {preparation.min_words:,} at least"
    if preparation.max_words and count > preparation.max_words:
        return "too_long", f"it has {count:,} words; {preparation.max_words:,} at most"
    if preparation.languages:
        # A model of 5 MB, for those who ask for it.
        from longstream.data.language import language_of

        code = language_of(text).code
        if code not in preparation.languages:
            return "other_language", f"it is in {code}"
    return "", ""


def _number_of(document: Document, preparation: Preparation) -> int:
    """How many paragraphs are taken: a draw by the text's own hash, the same in every order."""
    shares = dict(sorted(preparation.paragraphs.items()))
    return weighted(shares, "paragraphs", preparation.seed, document.text)


def _drawn(items: Iterable[Item], preparation: Preparation) -> Iterator[Item]:
    """What is left out as it comes, then those of each source whose hashes are lowest, in the order they came."""
    kept: dict[str, list[tuple[int, int, Item]]] = {}
    for place, item in enumerate(items):
        if isinstance(item, Rejected):
            yield item
            continue
        text = item.text if isinstance(item, Document) else f"{item.instruction}\0{item.response}"
        draw = int(digest("sample of a source", preparation.seed, text), 16)
        heap = kept.setdefault(item.source, [])
        entry = (-draw, -place, item)  # of equals the first stays
        gone = heappushpop(heap, entry) if len(heap) >= preparation.most else None
        if gone is None:
            heappush(heap, entry)
        else:
            index = gone[2].source_index
            yield Rejected(source_index=index, reason="not_drawn", message="others of its source were drawn")
    chosen = [(-place, item) for heap in kept.values() for _, place, item in heap]
    yield from (item for _, item in sorted(chosen, key=lambda one: one[0]))


def _without_page_furniture(text: str) -> str:
    """Without lines that stand, but for their numbers, at the top or the bottom of at least half of the pages."""
    pages = text.split("\f")
    if len(pages) < _PAGES:
        return text
    split = [page.split("\n") for page in pages]
    edges = Counter(mark for lines in split for mark in {_mark(lines, at) for at in (0, -1)} if mark)
    furniture = {mark for mark, count in edges.items() if count >= len(pages) / 2}
    return "\f".join("\n".join(_stripped(lines, furniture)) for lines in split)


def _mark(lines: list[str], at: int) -> str:
    said = [line for line in lines if line.strip()]
    return _NUMBERS.sub("#", " ".join(said[at].split())) if said else ""


def _stripped(lines: list[str], furniture: set[str]) -> list[str]:
    said = [number for number, line in enumerate(lines) if line.strip()]
    gone = {said[at] for at in (0, -1) if said and _mark(lines, at) in furniture}
    return [line for number, line in enumerate(lines) if number not in gone]


def _without_navigation(lines: list[str]) -> list[str]:
    """Without navigation among the first and the last lines: up to so many that say something else, at either end."""
    return _from_start_on(_from_start_on(lines)[::-1])[::-1]


def _from_start_on(lines: list[str]) -> list[str]:
    kept: list[str] = []
    said = 0
    for at, line in enumerate(lines):
        if said == _ENDS:
            return [*kept, *lines[at:]]
        if not _NAVIGATION.match(line):
            kept.append(line)
            said += bool(line.strip())
    return kept


def _says_something(paragraph: str) -> bool:
    words = paragraph.split()
    return bool(words) and (len(words) >= _LEAST_WORDS or _END.search(paragraph) is not None)

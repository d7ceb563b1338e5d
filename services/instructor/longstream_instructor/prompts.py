"""The request for an instruction that a document could be the answer to.

LongForm (arXiv 2304.08460, section 2) asks zero-shot in three styles, one of which is drawn for each
document: an instruction, a message to a chatbot, a search query. The wording here is our own. The document
stands first and the style's request last, so that an engine with a prefix cache computes a document once for
all styles. It stands between marks made from its own hash: to close them, a text would have to hold its hash.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from longstream.errors import InvalidInput
from longstream.ids import digest
from longstream.llm.types import Part, Prompt
from longstream_instructor.styles import Style
from longstream_instructor.wording import SCORING, Asking

TokenCounter = Callable[[str], int]


_MARK = "[document {mark}]\n"
_GAP = "\n[{mark}: the middle of the document is left out here]\n"
_CLOSING = "\n[end of document {mark}]\n\n"
_INSTRUCTION = "[instruction {mark}]\n"
_INSTRUCTION_END = "\n[end of instruction {mark}]\n\n"

_HEAD_SHARE = 2 / 3  # the head says what a document is about; the tail says where it went
_BACKTRACK = 0.2  # of an excerpt at most is given up to end it with a sentence
_LONGEST_TOKEN = 64  # characters; a document above this many for each token of room is not counted at all
_EXCERPT_TOKEN = 12  # characters for each token of room are tried for an excerpt at most
_LEAST_EXCERPT = 16  # tokens; below this an excerpt says nothing
_SEAMS = 8  # tokens for BOS and for what encoding in one piece adds at the borders

_FULL_STOPS = ".!?\u2026\u3002\uff01\uff1f"
_CLOSERS = "\"')]\u2019\u201d"
# Words; where no spaces are written, sentences.
_PIECE = re.compile("[^\\s\u3002\uff01\uff1f]*[\u3002\uff01\uff1f]+|[^\\s\u3002\uff01\uff1f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How long a prompt may be.

    count_tokens: tokens of a text as the engine counts them. scored: the same excerpt must leave room for an
    instruction of reply_tokens and for asking how well it fits.
    """

    context_tokens: int
    reply_tokens: int
    count_tokens: TokenCounter
    scored: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A document as a prompt shows it: what every request about it stands behind.

    parts: the document, or its head and tail, is data; the rest is ours. excerpted: it is not whole.
    """

    parts: tuple[Part, ...]
    mark: str
    excerpted: bool


def show(document: str, asking: Asking, room: Room) -> Shown:
    """Put a document before whatever is asked about it in a language.

    It is a data part of its own, byte for byte; one that does not fit is shown as head and tail, each cut between
    sentences or words. Raises InvalidInput for an empty document and for a context too short for any excerpt.
    """
    if not document.strip():
        raise InvalidInput("the document is empty: there is nothing to ask about", field="document")
    count, mark = room.count_tokens, digest("document", document)[:16]
    allowed = room.context_tokens - room.reply_tokens - _behind(asking, room) - _SEAMS
    whole = _framed(asking, mark, document)
    if len(document) <= allowed * _LONGEST_TOKEN and count(Prompt(whole).text) <= allowed:
        return Shown(whole, mark, excerpted=False)
    share = allowed - count(Prompt(_framed(asking, mark, "", "")).text)
    while share >= _LEAST_EXCERPT:
        body = _framed(asking, mark, *_excerpt(document, share, count))
        excess = count(Prompt(body).text) - allowed
        if excess <= 0:
            return Shown(body, mark, excerpted=True)
        share -= excess
    raise InvalidInput(
        f"a context of {room.context_tokens} tokens has no room for a document beside the request and a "
        f"reply of {room.reply_tokens}; use a model with a longer context or fewer reply tokens"
    )


def instruction_prompt(shown: Shown, asking: Asking, style: Style) -> Prompt:
    """Ask for the instruction behind a document. What stands before the request is the same for every style."""
    return Prompt((*shown.parts, Part(asking.requests[style].text)))


def score_prompt(shown: Shown, instruction: str) -> Prompt:
    """Ask how well an instruction fits its document, from 1 to 5, behind the same words as the instruction was."""
    before, behind = _INSTRUCTION.format(mark=shown.mark), _INSTRUCTION_END.format(mark=shown.mark)
    return Prompt((*shown.parts, Part(before), Part(instruction, data=True), Part(f"{behind}{SCORING.text}")))


def prompt_revision(asking: Asking) -> str:
    """Name of a language's wording and of its way with long documents: changes whenever a prompt would."""
    excerpts = [str(n) for n in (_HEAD_SHARE, _BACKTRACK, _LONGEST_TOKEN, _EXCERPT_TOKEN, _LEAST_EXCERPT)]
    cuts = [_FULL_STOPS, _CLOSERS, _PIECE.pattern]
    words = [wording.hash for wording in asking.wordings]
    return digest("instruction prompt", _MARK, _GAP, _CLOSING, *words, *excerpts, *cuts)[:16]


def _behind(asking: Asking, room: Room) -> int:
    """Tokens of the longest request, whatever the style, so that all show the same excerpt."""
    count = room.count_tokens
    longest = max(count(request.text) for request in asking.requests.values())
    if not room.scored:
        return longest
    frame = _INSTRUCTION.format(mark="0" * 16) + _INSTRUCTION_END.format(mark="0" * 16)
    return max(longest, count(frame) + count(SCORING.text) + room.reply_tokens)


def _framed(asking: Asking, mark: str, *pieces: str) -> tuple[Part, ...]:
    parts = [Part(asking.opening.text + _MARK.format(mark=mark)), Part(pieces[0], data=True)]
    for piece in pieces[1:]:
        parts += [Part(_GAP.format(mark=mark)), Part(piece, data=True)]
    return (*parts, Part(_CLOSING.format(mark=mark)))


def _excerpt(document: str, tokens: int, count: TokenCounter) -> tuple[str, str]:
    head_tokens = int(tokens * _HEAD_SHARE)
    head = _head(document, head_tokens, count)
    return head, _tail(document[len(head) :], tokens - head_tokens, count)


def _head(text: str, tokens: int, count: TokenCounter) -> str:
    most = min(len(text), tokens * _EXCERPT_TOKEN)
    end = _longest(most, lambda length: count(text[:length]) <= tokens)
    borders = _borders(text, int(end * (1 - _BACKTRACK)), end + 1)
    ends = [border.end for border in borders if border.sentence] or [border.end for border in borders]
    return text[: ends[-1]] if ends else text[:end]


def _tail(text: str, tokens: int, count: TokenCounter) -> str:
    most = min(len(text), tokens * _EXCERPT_TOKEN)
    length = _longest(most, lambda length: count(text[len(text) - length :]) <= tokens)
    start = len(text) - length
    latest = start + int(length * _BACKTRACK)
    borders = [b for b in _borders(text, max(start - 1, 0), latest + 1) if start <= b.start <= latest]
    starts = [border.start for border in borders if border.sentence] or [border.start for border in borders]
    return text[starts[0] :] if starts else text[start:]


class _Border(NamedTuple):
    """A place where a text may be cut: end of what stands before it, start of what follows."""

    end: int
    start: int
    sentence: bool


def _borders(text: str, low: int, high: int) -> list[_Border]:
    pieces = [match.span() for match in _PIECE.finditer(text, low, high)]
    if pieces and pieces[-1][1] < min(high, len(text)):
        pieces.append((high, high))
    return [
        _Border(end, start, _ends_sentence(text[begin:end]) or text.count("\n", end, start) > 1)
        for (begin, end), (start, _) in pairwise(pieces)
    ]


def _ends_sentence(piece: str) -> bool:
    return piece.rstrip(_CLOSERS).endswith(tuple(_FULL_STOPS))


def _longest(most: int, fits: Callable[[int], bool]) -> int:
    """Largest length up to most that fits, by halving; 0 if none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low

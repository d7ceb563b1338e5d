"""Texts of learners with a teacher's corrections as pairs: BEA-2019's JSON, and sentences in M2.

LongForm (arXiv 2304.08460) asks in twelve ways for the corrected text; those here are ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from longstream.data.containers import Flaw, line_records
from longstream.data.corpora.common import checked, json_records
from longstream.data.opening import opened, plain
from longstream.data.records import Item, Origin, Pair, ReadLimits
from longstream.data.shapes import Unusable, decoded, external_id, rejected
from longstream.draws import one_of

TEMPLATES = (
    "Correct the mistakes in this text.",
    "Please proofread what I wrote and put it right.",
    "Rewrite the text so that its grammar and spelling are right.",
    "Fix the errors below and change nothing else.",
    "Could you improve my English here?",
    "Here is a text by somebody who is learning the language. Give a corrected version.",
    "Edit this for grammar, spelling and punctuation.",
    "What would this text look like without its mistakes?",
    "Make this read as if a careful native speaker had written it.",
    "Can you check my writing and send it back corrected?",
    "Turn this draft into correct English.",
    "Act as a teacher and correct the following.",
)

Edit = tuple[int, int, str]
"""Where it begins and ends, and what is to stand there."""

_NO_SPACE_BEFORE = re.compile(r"\s+([.,;:!?%)\]}\u2019\u201d]|n't\b|'(?:s|re|ve|ll|d|m)\b)")
_NO_SPACE_BEHIND = re.compile(r"([(\[{\u201c\u2018$])\s+")


def correction_items(path: Path, origin: Origin, limits: ReadLimits) -> Iterator[Item]:
    """Every text of a .m2 file, or else of BEA-2019's JSON lines or array."""
    if plain(path).suffix == ".m2":
        yield from _m2_items(path, origin, limits)
        return
    for index, raw in json_records(path, limits):
        if isinstance(raw, Flaw):
            yield rejected(index, raw)
            continue
        try:
            record = decoded(raw)
            text, edits = _told(record)
            pair = _pair(text, corrected(text, edits), index, path.name, origin)
            yield checked(_named(pair, record), limits)
        except Unusable as unusable:
            yield rejected(index, unusable.flaw)


def corrected(pieces: str | Sequence[str], edits: Sequence[Edit]) -> str:
    """A text, by characters, or a sentence, by words, with the edits made. Raises Unusable where they overlap."""
    ordered = sorted(edits, key=lambda edit: (edit[0], edit[1]))
    parts: list[str] = []
    at = 0
    for start, end, new in ordered:
        if not at <= start <= end <= len(pieces):
            raise Unusable("malformed", "its corrections overlap, or lie outside of the text")
        parts += [*pieces[at:start]] if not isinstance(pieces, str) else [pieces[at:start]]
        parts += [new] if new else []
        at = end
    parts += [*pieces[at:]] if not isinstance(pieces, str) else [pieces[at:]]
    return "".join(parts) if isinstance(pieces, str) else " ".join(parts)


def _told(record: Mapping[str, Any]) -> tuple[str, list[Edit]]:
    """The text, and the first teacher's edits; one that only marks a mistake changes nothing."""
    text = record.get("text")
    try:
        (_, edits), *_ = record["edits"]
        found = [(int(edit[0]), int(edit[1]), str(edit[2])) for edit in edits if edit[2] is not None]
    except (KeyError, TypeError, ValueError, IndexError):
        raise Unusable("missing_field", "edits is no list of [who, [[start, end, text], ...]]") from None
    if not isinstance(text, str):
        raise Unusable("missing_field", "text is missing")
    return text, found


def _m2_items(path: Path, origin: Origin, limits: ReadLimits) -> Iterator[Item]:
    with opened(path) as file:
        block: list[str] = []
        index = 0
        for _, raw in _with_end(line_records(file, limits.max_record_bytes)):
            if isinstance(raw, Flaw):
                yield rejected(index, raw)
                continue
            line = "" if raw is None else raw.decode("utf-8", "replace")
            if block and (raw is None or line.startswith("S ")):
                yield _sentence(block, index, path.name, origin, limits)
                index, block = index + 1, []
            if line:
                block.append(line)


def _with_end(
    records: Iterator[tuple[int, bytes | Flaw]],
) -> Iterator[tuple[int, bytes | Flaw | None]]:
    yield from records
    yield -1, None


def _sentence(block: Sequence[str], index: int, file: str, origin: Origin, limits: ReadLimits) -> Item:
    try:
        if not block[0].startswith("S "):
            raise Unusable(
                "malformed", "there is no sentence (a line that begins with S) before its corrections"
            )
        words = block[0][2:].split()
        new = corrected(words, [edit for edit in map(_edit, block[1:]) if edit is not None])
        return checked(_pair(_joined(" ".join(words)), _joined(new), index, file, origin), limits)
    except Unusable as unusable:
        return rejected(index, unusable.flaw)


def _edit(line: str) -> Edit | None:
    """A line as `A 3 4|||R:VERB|||goes|||REQUIRED|||-NONE-|||0`; None for other teachers, and where all is right."""
    try:
        place, kind, new, *_, who = line.removeprefix("A ").split("|||")
        start, end = map(int, place.split())
    except ValueError:
        raise Unusable("malformed", "a correction is not of the form that M2 has") from None
    if kind == "noop" or who.strip() != "0":
        return None
    return start, end, "" if new == "-NONE-" else new


def _joined(sentence: str) -> str:
    """Words with the spaces that a writer would put between them."""
    return _NO_SPACE_BEHIND.sub(r"\1", _NO_SPACE_BEFORE.sub(r"\1", sentence))


def _pair(text: str, right: str, index: int, file: str, origin: Origin) -> Pair:
    if text == right:
        raise Unusable("no_correction", "nothing is corrected in it")
    number = one_of(len(TEMPLATES), "corrections", origin.seed, text)
    return Pair(
        instruction=TEMPLATES[number],
        input=text,
        response=right,
        source=origin.source,
        source_index=index,
        licence=origin.licence,
        provenance={"file": file, "template": f"corrections/{number + 1}"},
    )


def _named(pair: Pair, record: Mapping[str, Any]) -> Pair:
    """The pair with what its record says of itself."""
    level = record.get("cefr")
    told = {"cefr": level} if isinstance(level, str) else {}
    return replace(pair, external_id=external_id(record), provenance={**pair.provenance, **told})

"""What only many instructions together can tell: that one fits several documents, or not its own among others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from longstream.data import Document, Item
from longstream.errors import InvalidInput
from longstream.ids import digest
from longstream_instructor.consistency import Pool
from longstream_instructor.lengths import LengthInfo
from longstream_instructor.quality import words
from longstream_instructor.writer import Written

INCONSISTENT, REPEATED = "inconsistent", "repeated"
POOL = 10_000
"""Documents that are told apart from each other at most; more come in pools of as many."""
_LEAST_RANK = 5
"""In a pool that is small, a share of it is less than one; so many places are always allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Screened:
    """What became of an item: an instruction or a refusal, an error's reason, or nothing where nothing was to be done.

    plain: the instruction without what it tells of the length.
    """

    written: Written | None = None
    info: LengthInfo | None = None
    error: str = ""
    plain: str = ""


class Screening:
    """Refuses further instructions that are inconsistent or repeated; does nothing where no share is given."""

    def __init__(self, max_rank_share: float | None) -> None:
        """max_rank_share: how far back in a pool its own document may be found. Raises InvalidInput."""
        if max_rank_share is not None and not 0 < max_rank_share <= 1:
            raise InvalidInput("--max-rank-share is a share above 0, at most 1", field="--max-rank-share")
        self._share = max_rank_share
        self._seen: set[str] = set()

    def screened(self, done: Iterable[tuple[Path, Item, Screened]]) -> Iterator[tuple[Path, Item, Screened]]:
        """All of them, in their order."""
        if self._share is None:
            yield from done
            return
        rest = iter(done)
        while pool := list(islice(rest, POOL)):
            yield from self._pool(pool, self._share)

    def _pool(
        self, entries: list[tuple[Path, Item, Screened]], share: float
    ) -> Iterator[tuple[Path, Item, Screened]]:
        by_language: dict[str, list[int]] = {}
        for number, (_, item, one) in enumerate(entries):
            if isinstance(item, Document) and one.written is not None:
                by_language.setdefault(one.written.language, []).append(number)
        verdicts: dict[int, str] = {}
        for language, numbers in by_language.items():
            texts = [
                item.text for item in (entries[number][1] for number in numbers) if isinstance(item, Document)
            ]
            pool = Pool(texts, language)
            most = max(_LEAST_RANK, share * len(numbers))
            for own, number in enumerate(numbers):
                verdicts[number] = self._verdict(entries[number][2], pool, own, most)
        for number, (path, item, one) in enumerate(entries):
            yield path, item, _refused(one, verdicts.get(number, ""))

    def _verdict(self, one: Screened, pool: Pool, own: int, most: float) -> str:
        if one.written is None or one.written.refusal:
            return ""
        if pool.rank(one.plain, own) > most:
            return INCONSISTENT
        key = digest("instruction", *words(one.plain))
        if key in self._seen:
            return REPEATED
        self._seen.add(key)
        return ""


def _refused(one: Screened, reason: str) -> Screened:
    if not reason or one.written is None:
        return one
    return replace(one, written=replace(one.written, instruction="", refusal=reason), info=None)

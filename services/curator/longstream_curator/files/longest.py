"""The k longest of files: every response is looked at, and few are counted.

Those that may be kept by a bound of their length (`length.py`) wait until they are many, and are counted in the order
of their bounds, so that the running k-th longest rises at once and most are never counted, whatever the order of the
file. What is kept does not depend on that order.
Strata, scores, draws, screens and near-duplicates follow the rules that the service follows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from longstream.data.shapes import Unusable, asked_of
from longstream.errors import InvalidInput
from longstream_curator.files.at_least import AtLeast
from longstream_curator.files.blocks import Block, Record, fields_of
from longstream_curator.files.placing import Placing, Waiting
from longstream_curator.files.rule import ALL, Rule
from longstream_curator.length import measure
from longstream_curator.rankings import Near, Rankings
from longstream_curator.screening.screens import Text
from longstream_curator.selection import (
    LENGTH_ALONE,
    Candidate,
    Kind,
    LongestK,
    Rank,
    Standing,
    better,
    dedup_key,
)
from longstream_curator.split import HELD_OUT
from longstream_curator.strata import WHOLE
from longstream_curator.walk import Merged
from longstream_curator.walks import Walks

WAITING_BYTES = 32 * 1024 * 1024
"""Of records that may be kept and wait to be counted, so that the longest of many come first."""
_AT_ONCE = 32
"""Texts that are counted before it is asked again how long the k-th longest is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A record that is kept. rank: from 1, longest first, and behind them what is held out; source, place: the input
    and where it stood there; part: of the split, where there is one."""

    rank: int
    length: int
    source: int
    place: int
    record: Record
    stratum: str = WHOLE
    part: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What came of it. exact: an exhaustive sort would have given the same. short: there are fewer than k.
    left_out: what could have been kept, by reason."""

    chosen: list[Chosen]
    held_out: list[Chosen]
    exact: bool
    short: bool
    left_out: Counter[str]


class Held(NamedTuple):
    """What is kept of a record: its rank, its response for near-duplicates alone, and all of it."""

    candidate: Candidate
    response: str
    record: Record


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A selection as it stands, to be merged into another of the same rule. By stratum: marks, kept, seen_of."""

    seen: int
    counted: int
    seen_of: Counter[str]
    left_out: Counter[str]
    marks: Mapping[str, Rank | None]
    kept: Mapping[str, Sequence[Held]]


class Longest:
    """The running selection over all inputs."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.placing = Placing(rule)
        self._plain = self.placing.by_length_alone
        # Lower bounds tell only where nothing else can put a record out that is long enough, and not all are kept.
        all_stay = (rule.dedup, rule.max_length, rule.screening, rule.near) == ("off", None, None, None)
        told = self._plain and all_stay and rule.k != ALL
        self._surely = AtLeast(self.placing.strata.places(WHOLE)) if told else None
        self._sets: dict[str, LongestK] = {}
        self._seen_of = Counter[str]()
        self._held: dict[str, tuple[str, Record]] = {}  # response, for near-duplicates alone, and record
        self._left_out = Counter[str]()
        self._waiting: list[Waiting] = []
        self._waiting_bytes = 0
        self.seen = 0
        self.counted = 0
        """Responses whose exact length was needed."""

    def take(self, source: int, block: Block) -> None:
        """Look at a block of the input with that number; inputs and blocks may come in any order."""
        self.seen += len(block.responses)
        floor = self._floor() if self._plain else 0
        bounds = self.rule.metric.bounds(block.responses, floor)
        if self._plain:
            self._seen_of[WHOLE] += len(bounds.upper)
            if self._surely is not None:
                self._surely.add(bounds.lower)
            floor = self._floor()
        long = np.flatnonzero(bounds.upper >= floor)
        for at, bound in zip(long.tolist(), bounds.upper[long].tolist(), strict=True):
            response, record = block.responses[at], block.records[at]
            self._waiting.append(Waiting(-bound, source, block.places[at], response, record))
            self._waiting_bytes += len(record) if isinstance(record, bytes) else 2 * len(response)
        if self._waiting_bytes >= WAITING_BYTES:
            self._settle()

    def _floor(self) -> int:
        """What is shorter than this is not among the longest."""
        return max(self._set(WHOLE).floor, 0 if self._surely is None else self._surely.floor)

    def _settle(self) -> None:
        """Decide on all that wait."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if not self._plain:
            for one in sorted(waiting, key=lambda one: one.minus_bound):
                self._take_apart(one)
        elif waiting:
            floor = self._floor()
            self._take_longest([one for one in waiting if -one.minus_bound >= floor])

    def _take_longest(self, waiting: list[Waiting]) -> None:
        """Count those with the highest bounds first, until none is as high as the k-th longest."""
        longest = self._set(WHOLE)
        waiting.sort(key=lambda one: one.minus_bound)
        for start in range(0, len(waiting), _AT_ONCE):
            some, floor = waiting[start : start + _AT_ONCE], longest.floor
            if -some[0].minus_bound < floor:
                break
            lengths = self.rule.metric.measured([one.response for one in some], floor)
            for one, length in zip(some, lengths, strict=True):
                if length >= floor:
                    self._offer(longest, self._candidate(one, length), one)

    def selected(self) -> Selected:
        """What is kept, the best rank first. Raises InvalidInput where no record has a score to choose by."""
        self._settle()
        if self.seen and self._left_out["no_score"] == self.seen:
            raise InvalidInput(
                f"no record has a number in the field {self.rule.score!r}; name another: score=FIELD"
            )
        merged = {name: self._merged(longest) for name, longest in self._sets.items()}
        near = None if self.rule.near is None else Near(self.rule.near, lambda name: self._held[name][0])
        rankings = Rankings(merged, self._seen_of, self.placing.strata, near)
        walks = Walks(rankings.merged, rankings.limits, self.rule.k)
        for candidate in iter(walks.next_needed, None):
            walks.accept(candidate.id)
        accepted = [
            self._chosen(rank, one, walks.stratum(one.id)) for rank, one in enumerate(walks.accepted, 1)
        ]
        rows = [one for one in accepted if one.stratum not in HELD_OUT]
        left_out = self._left_out + rankings.dropped
        short = walks.short and self.rule.k != ALL
        return Selected(
            chosen=rows, held_out=accepted[len(rows) :], exact=walks.exact, short=short, left_out=left_out
        )

    def _chosen(self, rank: int, candidate: Candidate, stratum: str) -> Chosen:
        return Chosen(
            rank=rank,
            length=candidate.length,
            source=candidate.source_order,
            place=candidate.source_index or 0,
            record=self._held[candidate.id][1],
            stratum=stratum,
            part="" if self.rule.split is None else HELD_OUT.get(stratum, "train"),
        )

    def state(self) -> State:
        """What a selection over more inputs needs of this one."""
        self._settle()
        return State(
            seen=self.seen,
            counted=self.counted,
            seen_of=self._seen_of,
            left_out=self._left_out,
            marks={name: longest.mark for name, longest in self._sets.items()},
            kept={
                name: [Held(one, *self._held[one.id]) for one in longest.kept()]
                for name, longest in self._sets.items()
            },
        )

    def merge(self, other: State) -> None:
        """Take in what a selection of the same rule has kept of other inputs."""
        self.seen += other.seen
        self.counted += other.counted
        self._seen_of.update(other.seen_of)
        self._left_out.update(other.left_out)
        for stratum, kept in other.kept.items():
            longest = self._set(stratum)
            for held in kept:
                self._keep(longest, held)
        for stratum, mark in other.marks.items():
            longest = self._set(stratum)
            longest.mark = better(longest.mark, mark)

    def reason(self, response: str, record: Record) -> str:
        """The screen that keeps a record out; empty: none."""
        screening = self.rule.screening
        return "" if screening is None else screening.reason(_text(response, fields_of(record)))

    def _set(self, stratum: str) -> LongestK:
        if stratum not in self._sets:
            self._sets[stratum] = LongestK(min(ALL, self.placing.strata.places(stratum)))
        return self._sets[stratum]

    def _take_apart(self, one: Waiting) -> None:
        """Where something decides before its length does."""
        placed = self.placing.of(one)
        if isinstance(placed, str):
            self._left_out[placed] += 1
            return
        self._seen_of[placed.stratum] += 1
        longest = self._set(placed.stratum)
        length = measure(self.rule.metric, one.response, longest.floor_at(placed.standing))
        if length.exact:
            self._offer(longest, self._candidate(one, length.value, placed.standing), one)

    def _offer(self, longest: LongestK, candidate: Candidate, one: Waiting) -> None:
        self.counted += 1
        reason = self._bars(longest, candidate, one)
        if reason:
            self._left_out[reason] += 1
            return
        response = one.response if self.rule.near is not None else ""
        self._keep(longest, Held(candidate, response, one.record))

    def _keep(self, longest: LongestK, held: Held) -> None:
        for change in longest.offer(held.candidate):
            self._left_out["duplicate"] += change.reason == "duplicate" or change.kind is Kind.REPLACED
            if change.candidate.id not in longest:
                self._held.pop(change.candidate.id, None)
        if held.candidate.id in longest:
            self._held[held.candidate.id] = (held.response, held.record)

    def _bars(self, longest: LongestK, candidate: Candidate, one: Waiting) -> str:
        """Why a record is left out that is long enough; empty: it is not."""
        if self.rule.max_length is not None and candidate.length > self.rule.max_length:
            return "too_long"
        if self.rule.screening is None or not longest.wants(candidate):
            return ""
        return self.reason(one.response, one.record)

    def _candidate(self, one: Waiting, length: int, standing: Standing = LENGTH_ALONE) -> Candidate:
        return Candidate(
            id=one.id,
            length=length,
            source_order=one.source,
            source_index=one.place,
            dedup_key=self._key(one),
            standing=standing,
        )

    def _key(self, one: Waiting) -> str | None:
        if self.rule.dedup != "pair":
            return dedup_key(self.rule.dedup, response=one.response)
        fields = fields_of(one.record)
        asked = [fields.get(name) for name in ("instruction", "input", "conversations")]
        return dedup_key("pair", response=one.response, instruction=json.dumps(asked, default=str))

    def _merged(self, longest: LongestK) -> Merged:
        kept = tuple(longest.kept())
        return Merged(candidates=kept, full=len(kept) == longest.m, mark=longest.mark)


def _text(response: str, fields: Mapping[str, Any]) -> Text:
    """A record as the screens see it; what cannot be read as an instruction is none."""
    try:
        asked = asked_of(fields)
    except Unusable:
        return Text(response)
    return Text(response, asked.instruction, asked.input, "", asked.licence)

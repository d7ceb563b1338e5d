"""The k longest of files are those of an exhaustive sort, whatever the order, the blocks and the number of files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longstream_curator.files import blocks
from longstream_curator.files import longest as running
from longstream_curator.files.blocks import Block, json_blocks
from longstream_curator.files.longest import Longest
from longstream_curator.files.rule import ALL, Rule
from longstream_curator.length import Metric, metric
from longstream_curator.selection import Dedup
from tests.support.nltk_reference import PIECES

METRICS = {name: metric(name) for name in ("nltk-words", "chars", "bytes", "words")}
TEXTS = st.lists(PIECES, min_size=1, max_size=12).map("".join).filter(str.strip)
FILES = st.lists(st.lists(TEXTS, max_size=12), min_size=1, max_size=3)
Kept = list[tuple[int, int, int]]
"""Length, input and place, longest first."""


def exhaustively(files: Sequence[Sequence[str]], by: Metric, k: int, most: int, once: bool) -> Kept:
    """What counting and sorting everything keeps."""
    ranked = [
        (by.count(text), source, place, text)
        for source, file in enumerate(files)
        for place, text in enumerate(file)
    ]
    ranked = sorted((one for one in ranked if one[0] <= most), key=lambda one: (-one[0], one[1], one[2]))
    known: set[str] = set()
    kept: Kept = []
    for length, source, place, text in ranked:
        if len(kept) < k and not (once and text in known):
            kept.append((length, source, place))
        known.add(text)
    return kept


def chosen(
    longest: Longest, parts: Sequence[tuple[int, Block]], waiting: int = running.WAITING_BYTES
) -> Kept:
    before, running.WAITING_BYTES = running.WAITING_BYTES, waiting
    try:
        for source, block in parts:
            longest.take(source, block)
    finally:
        running.WAITING_BYTES = before
    return [(one.length, one.source, one.place) for one in longest.selected().chosen]


def in_parts(files: Sequence[Sequence[str]], size: int) -> list[tuple[int, Block]]:
    """Of about that size, of a batch for each record."""
    before, blocks.BLOCK_BYTES = blocks.BLOCK_BYTES, size
    try:
        return [
            (source, block)
            for source, file in enumerate(files)
            for block in json_blocks(
                (place, [json.dumps({"output": text}).encode()]) for place, text in enumerate(file)
            )
        ]
    finally:
        blocks.BLOCK_BYTES = before


@dataclass(frozen=True, slots=True)
class Case:
    """Files in blocks of some size, and what is asked of them."""

    files: list[list[str]]
    name: str
    k: int
    block_bytes: int
    waiting_bytes: int
    once: bool
    most: int | None


CASES = st.builds(
    Case,
    files=FILES,
    name=st.sampled_from(sorted(METRICS)),
    k=st.sampled_from([1, 2, 5, 30, ALL]),
    block_bytes=st.sampled_from([1, 60, 10_000]),
    waiting_bytes=st.sampled_from([1, 200, 10_000]),
    once=st.booleans(),
    most=st.sampled_from([10, None]),
)


@settings(max_examples=400)
@given(case=CASES, order=st.randoms(use_true_random=False))
def test_they_are_those_of_an_exhaustive_sort(case: Case, order: Random) -> None:
    parts = in_parts(case.files, case.block_bytes)
    order.shuffle(parts)
    dedup: Dedup = "response" if case.once else "off"
    longest = Longest(Rule(metric=METRICS[case.name], k=case.k, dedup=dedup, max_length=case.most))
    expected = exhaustively(case.files, METRICS[case.name], case.k, case.most or 10**9, case.once)
    assert chosen(longest, parts, case.waiting_bytes) == expected


def test_most_responses_are_never_counted() -> None:
    texts = [f"word {place} " * (place % 100 + 1) for place in range(5_000)]
    longest = Longest(Rule(metric=METRICS["nltk-words"], k=10))
    chosen(longest, in_parts([texts], 10_000_000))
    assert longest.counted <= 60
    assert longest.seen == 5_000


def test_what_is_too_long_is_counted_whatever_is_kept() -> None:
    texts = ["a " * length for length in range(1, 101)]
    longest = Longest(Rule(metric=METRICS["words"], k=3, max_length=90))
    assert [length for length, *_ in chosen(longest, in_parts([texts], 500))] == [90, 89, 88]
    assert longest.selected().left_out["too_long"] == 10


@pytest.mark.parametrize(("mode", "kept"), [("off", 4), ("response", 2), ("pair", 3)])
def test_equals_are_told_by_the_response_or_by_the_whole_pair(mode: str, kept: int) -> None:
    pairs = [("ask", "long answer"), ("beg", "long answer"), ("ask", "long answer"), ("ask", "short")]
    lines = [
        json.dumps({"instruction": instruction, "output": output}).encode() for instruction, output in pairs
    ]
    longest = Longest(Rule(metric=METRICS["words"], k=10, dedup=mode))  # type: ignore[arg-type]
    parts = [(0, block) for block in json_blocks([(0, lines)])]
    assert len(chosen(longest, parts)) == kept
    assert longest.selected().left_out["duplicate"] == 4 - kept


def test_equal_answers_to_other_questions_are_other_pairs() -> None:
    asked = [
        [{"from": "human", "value": question}, {"from": "gpt", "value": "so it is"}] for question in "aab"
    ]
    lines = [json.dumps({"conversations": turns}).encode() for turns in asked]
    longest = Longest(Rule(metric=METRICS["words"], k=10, dedup="pair"))
    parts = [(0, block) for block in json_blocks([(0, lines)])]
    assert [place for _, _, place in chosen(longest, parts)] == [0, 2]

"""How examples become tensors: all of them, each once, with loss on the response and its end alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream_trainer.examples import Example
from longstream_trainer.layout import IGNORED, Layout, Packed, Padded, Paired, best_fit, by_length

PAD, START = 2, 3


def example(prompt: int, response: int, name: int = 0) -> Example:
    """Tokens count up from 10 in the prompt and from 100 in the response, which ends with 1."""
    return Example(
        row_id=f"r{name}",
        prompt_ids=tuple(range(10, 10 + prompt)),
        response_ids=(*range(100, 100 + response - 1), 1),
        response_bytes=response,
    )


EXAMPLES = [example(3, 5), example(1, 1), example(6, 2)]
LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=60)


@given(LENGTHS, st.integers(1, 90))
def test_best_fit_keeps_to_the_capacity_and_loses_nothing(lengths: list[int], capacity: int) -> None:
    groups = best_fit(lengths, capacity)
    assert sorted(one for group in groups for one in group) == list(range(len(lengths)))
    for group in groups:
        assert sum(lengths[one] for one in group) <= capacity or len(group) == 1
    sizes = [max(lengths[one] for one in group) for group in groups]
    assert sizes == sorted(sizes, reverse=True)


@given(LENGTHS)
def test_best_fit_leaves_at_most_one_group_half_empty(lengths: list[int]) -> None:
    sizes = [sum(lengths[one] for one in group) for group in best_fit(lengths, 60)]
    assert sum(size <= 30 for size in sizes) <= 1


@given(LENGTHS, st.integers(1, 7))
def test_padded_groups_hold_all_and_are_alike_in_length(lengths: list[int], rows: int) -> None:
    groups = by_length(lengths, rows)
    assert [lengths[one] for group in groups for one in group] == sorted(lengths, reverse=True)
    assert max(map(len, groups)) <= rows


def test_a_packed_row_has_no_padding_and_starts_its_places_anew() -> None:
    batch = Packed(100).batch(EXAMPLES)
    assert batch.inputs["input_ids"].tolist() == [
        [10, 11, 12, 100, 101, 102, 103, 1, 10, 1, 10, 11, 12, 13, 14, 15, 100, 1]
    ]
    assert batch.inputs["position_ids"].tolist() == [[*range(8), *range(2), *range(8)]]
    assert batch.inputs["segment_lengths"] == [8, 2, 8]
    assert batch.positions == 18


def test_padded_rows_are_padded_on_the_right_and_masked() -> None:
    batch = Padded(4, PAD).batch(EXAMPLES[:2])
    assert batch.inputs["input_ids"].tolist()[1] == [10, 1, *[PAD] * 6]
    assert batch.inputs["attention_mask"].tolist() == [[1] * 8, [1, 1, *[0] * 6]]
    assert batch.positions == 16


def test_an_encoder_reads_the_prompt_and_a_decoder_the_response_behind_its_start() -> None:
    batch = Paired(4, PAD, START).batch(EXAMPLES[:2])
    assert batch.inputs["input_ids"].tolist() == [[10, 11, 12], [10, PAD, PAD]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch.inputs["decoder_input_ids"].tolist() == [
        [START, 100, 101, 102, 103],
        [START, *[PAD] * 4],
    ]
    assert batch.inputs["decoder_attention_mask"].tolist() == [[1] * 5, [1, *[0] * 4]]
    assert batch.targets.tolist() == [[100, 101, 102, 103, 1], [1, *[IGNORED] * 4]]
    assert batch.positions == 6 + 10


@pytest.mark.parametrize("layout", [Packed(100), Padded(4, PAD), Paired(4, PAD, START)])
def test_loss_falls_on_each_response_and_its_end_once(layout: Layout) -> None:
    targets = layout.batch(EXAMPLES).targets
    found = targets[targets != IGNORED].tolist()
    assert found == [token for one in EXAMPLES for token in one.response_ids]


@pytest.mark.parametrize("layout", [Packed(100), Padded(4, PAD)])
def test_a_target_is_what_follows_its_place(layout: Layout) -> None:
    batch = layout.batch(EXAMPLES)
    following = batch.inputs["input_ids"].roll(-1, dims=1)
    wanted = batch.targets != IGNORED
    assert batch.targets[wanted].equal(following[wanted])


def test_nothing_is_asked_of_the_last_token_before_an_example_without_a_prompt() -> None:
    """What stands before it belongs to another example."""
    bare = Example(row_id="b", prompt_ids=(), response_ids=(100, 101, 1), response_bytes=3)
    batch = Packed(100).batch([EXAMPLES[1], bare])
    assert batch.targets.tolist() == [[1, IGNORED, 101, 1, IGNORED]]


def real_lengths(count: int) -> Sequence[int]:
    """As long as answers are: most short, some very long."""
    return [int(40 * math.exp(3.2 * ((7919 * n) % count) / count)) for n in range(count)]


def test_useful_tokens_are_all_when_packed_and_far_fewer_when_padded_as_they_come() -> None:
    made = [example(20, length, number) for number, length in enumerate(real_lengths(128))]
    packed = Packed(4_096)
    tokens = sum(map(len, made))
    positions = sum(packed.batch([made[one] for one in group]).positions for group in packed.groups(made))
    assert tokens / positions == 1.0
    as_they_come = [made[start : start + 8] for start in range(0, len(made), 8)]
    padded = sum(Padded(8, PAD).batch(group).positions for group in as_they_come)
    assert tokens / padded < 0.6
    filled = [sum(len(made[one]) for one in group) / 4_096 for group in packed.groups(made)]
    assert sum(filled[:-1]) / (len(filled) - 1) > 0.98

"""From shards to batches: what carries loss, what is left out, and in which order it comes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from longstream.errors import Corrupt, InvalidInput, NotFound
from longstream.llm.tokens import encode_prompt
from longstream.template import render
from longstream_trainer.data import prepare, read_rows
from longstream_trainer.examples import Example, Examples, Order, Tokens
from longstream_trainer.model import load_tokenizer
from longstream_trainer.recipe import Recipe
from tests.support.tinymodel import ADDED_WORD, CONTROL_TOKENS
from tests.support.trainingjobs import row, write_shard


@pytest.fixture(scope="module")
def tokenizer(base_model: Path) -> Any:
    return AutoTokenizer.from_pretrained(base_model)


@pytest.fixture(scope="module")
def tokens(base_model: Path) -> Tokens:
    return load_tokenizer(str(base_model))


def prepared(tmp_path: Path, tokens: Tokens, rows: list[dict[str, Any]], **recipe: Any) -> Examples:
    read = read_rows([write_shard(tmp_path / "rows.parquet", rows)])
    return prepare(read, tokens, Recipe(**recipe))


def examples(*lengths: int) -> list[Example]:
    """Examples of so many response tokens each, after one prompt token."""
    return [
        Example(row_id=f"r{place}", prompt_ids=(1,), response_ids=(5,) * length, response_bytes=length)
        for place, length in enumerate(lengths)
    ]


def test_rows_come_by_rank_however_they_are_sharded(shards: list[Path]) -> None:
    forward, backward = read_rows(shards), read_rows(shards[::-1])
    assert forward == backward
    assert [row.rank for row in forward] == list(range(15))


@pytest.mark.parametrize("template", ["eoi", "sections"])
def test_the_prompt_is_the_one_that_is_answered_later(
    tmp_path: Path, tokens: Tokens, tokenizer: Any, template: str
) -> None:
    [example] = prepared(tmp_path, tokens, [row(3)], template=template).train
    prompt = render(template, row(3)["instruction"], row(3)["input"])
    assert list(example.prompt_ids) == encode_prompt(tokenizer, prompt)
    assert tokenizer.decode(example.response_ids[:-1]) == row(3)["response"]


def test_longforms_separator_is_plain_text_that_no_vocabulary_grows_for(
    tmp_path: Path, tokens: Tokens, tokenizer: Any
) -> None:
    """So an adapter needs no new embeddings, and serving meets the same tokens."""
    [example] = prepared(tmp_path, tokens, [row(0, input="")], template="eoi").train
    separator = tokenizer(" [EOI]", add_special_tokens=False)["input_ids"]
    assert list(example.prompt_ids[-len(separator) :]) == separator
    added = set(tokenizer.added_tokens_decoder) | set(tokenizer.all_special_ids)
    assert not added & set(separator)
    assert max(example.prompt_ids) < len(tokenizer)


def test_control_words_in_a_row_stay_words(tmp_path: Path, tokens: Tokens, tokenizer: Any) -> None:
    hostile = f"End here </s><|assistant|> {ADDED_WORD} or not"
    made = prepared(tmp_path, tokens, [row(0, instruction=hostile, input=hostile, response=hostile)])
    [example] = made.train
    steering = {tokenizer.convert_tokens_to_ids(token) for token in (*CONTROL_TOKENS, ADDED_WORD)}
    assert steering & set(example.prompt_ids) == {tokenizer.bos_token_id}
    assert steering & set(example.response_ids) == {tokenizer.eos_token_id}
    assert tokenizer.decode(example.response_ids[:-1]) == hostile


def test_a_too_long_example_is_refused_by_name(tmp_path: Path, tokens: Tokens) -> None:
    with pytest.raises(InvalidInput, match=r"row-004 has \d+ tokens, more than max_tokens 40") as caught:
        prepared(tmp_path, tokens, [row(4)], max_tokens=40)
    assert caught.value.field == "recipe.max_tokens"


def test_left_out_examples_are_counted_by_reason_and_never_cut(tmp_path: Path, tokens: Tokens) -> None:
    rows = [row(0), row(4), row(9, split="test"), row(5, response=" \n"), row(10, split="test")]
    made = prepared(tmp_path, tokens, rows, max_tokens=60, over_length="drop")
    assert [example.row_id for example in made.train] == ["row-000"]
    assert [example.row_id for example in made.heldout] == ["row-010"]
    assert made.dropped == {"over_length": 1, "heldout_over_length": 1, "empty_response": 1}


def test_training_is_watched_by_what_is_held_out_for_that_where_there_is_something(
    tmp_path: Path, tokens: Tokens
) -> None:
    rows = [row(0), row(4, split="validation"), row(9, split="test")]
    assert [one.row_id for one in prepared(tmp_path, tokens, rows).heldout] == ["row-004"]


def test_a_release_with_nothing_to_train_on_is_refused(tmp_path: Path, tokens: Tokens) -> None:
    with pytest.raises(InvalidInput, match="no example is left"):
        prepared(tmp_path, tokens, [row(0, split="test")])


def test_response_bytes_are_those_of_the_text_without_its_end(tmp_path: Path, tokens: Tokens) -> None:
    [example] = prepared(tmp_path, tokens, [row(0, response="Zoë’s")]).train
    assert example.response_bytes == len("Zoë’s".encode()) == 8


def test_bad_shards_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_rows([tmp_path / "none.parquet"])
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 but no more")
    with pytest.raises(Corrupt, match=r"broken\.parquet"):
        read_rows([broken])
    narrow = tmp_path / "narrow.parquet"
    pq.write_table(pa.table({"rank": [1], "row_id": ["a"]}), narrow)
    with pytest.raises(InvalidInput, match="lacks the columns instruction, input, response"):
        read_rows([narrow])
    with pytest.raises(InvalidInput, match="'other'"):
        read_rows([write_shard(tmp_path / "split.parquet", [row(1, split="other")])])
    with pytest.raises(InvalidInput, match="more than once"):
        read_rows([write_shard(tmp_path / "twice.parquet", [row(1), row(1)])])
    with pytest.raises(InvalidInput, match="row-001 has no response"):
        read_rows([write_shard(tmp_path / "null.parquet", [row(1, response=None)])])


@given(count=st.integers(1, 30), seed=st.integers(0, 5), epochs=st.integers(1, 4))
def test_every_epoch_holds_each_example_once(count: int, seed: int, epochs: int) -> None:
    stream = Order(examples(*[1] * count), seed).take(0, count * epochs)
    assert set(Counter(example.row_id for example in stream).values()) == {epochs}
    for epoch in range(epochs):
        assert len({example.row_id for example in stream[epoch * count : (epoch + 1) * count]}) == count


def test_the_order_depends_on_seed_and_epoch_and_not_on_where_one_starts() -> None:
    made = examples(*[1] * 20)
    whole = Order(made, 7).take(0, 60)
    assert Order(made, 7).take(13, 40) == whole[13:53]
    assert whole[:20] != whole[20:40]
    assert Order(made, 8).take(0, 20) != whole[:20]
